package snippets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// clone is a copy of the tree without anything that was built or downloaded.
var clone string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "belfry-snippets-")
		if err == nil {
			defer os.RemoveAll(dir)
			clone, err = dir, copyTree(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// root is the repository. The variable is a key of go test's cache, see the
// Makefile.
func root() string {
	_ = os.Getenv("BELFRY_TREE")
	return filepath.Join("..", "..")
}

// walk calls visit with every file of the tree, by its path below the root.
func walk(visit func(path string, d fs.DirEntry) error) error {
	return fs.WalkDir(os.DirFS(root()), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // an editor's file that came and went
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		return visit(path, d)
	})
}

func copyTree(to string) error {
	return walk(func(path string, d fs.DirEntry) error {
		text, err := os.ReadFile(filepath.Join(root(), path))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info, err := d.Info(); err == nil {
			mode = info.Mode()
		}
		target := filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, mode)
	})
}
