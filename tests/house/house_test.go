package house

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	prefix = "github.com/belfry-events/belfry/"

	maxLines    = 600 // of one file
	medianLines = 150 // of all files
	maxMain     = 40  // of a cmd/<name>/main.go
)

// root is the repository. The variable is a key of go test's cache, see the
// Makefile.
func root() string {
	_ = os.Getenv("BELFRY_TREE")
	return "../.."
}

// goMod is what go mod edit -json and go work edit -json print.
type goMod struct {
	Module  struct{ Path string }
	Go      string
	Use     []struct{ DiskPath string }
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

func edit(t *testing.T, verb, file string) (m goMod) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", verb, "edit", "-json", file).Output()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestModules: no version of ours is published yet, so every go.mod that
// requires one of our modules replaces it by its folder; go.work alone would
// hide that from everybody but strangers.
func TestModules(t *testing.T) {
	t.Parallel()
	work := edit(t, "work", filepath.Join(root(), "go.work"))
	dirs := map[string]string{} // module → folder
	for _, use := range work.Use {
		dir := filepath.Join(root(), use.DiskPath)
		m := edit(t, "mod", filepath.Join(dir, "go.mod"))
		dirs[m.Module.Path] = dir
		if m.Module.Path != prefix+filepath.ToSlash(filepath.Clean(use.DiskPath)) {
			t.Errorf("%s is called %s", use.DiskPath, m.Module.Path)
		}
		if m.Go != work.Go {
			t.Errorf("%s: go %s, go.work has %s", use.DiskPath, m.Go, work.Go)
		}
	}
	for module, dir := range dirs {
		m := edit(t, "mod", filepath.Join(dir, "go.mod"))
		replaced := map[string]string{}
		for _, r := range m.Replace {
			if dirs[r.Old.Path] == "" {
				t.Errorf("%s replaces %s, which is not one of our modules", module, r.Old.Path)
				continue
			}
			replaced[r.Old.Path] = filepath.Join(dir, r.New.Path)
		}
		for _, r := range m.Require {
			if !strings.HasPrefix(r.Path, prefix) {
				continue
			}
			if r.Version != "v0.0.0" {
				t.Errorf("%s requires %s %s, want v0.0.0", module, r.Path, r.Version)
			}
			if replaced[r.Path] != dirs[r.Path] {
				t.Errorf("%s requires %s and replaces it by %q, want %q", module, r.Path, replaced[r.Path], dirs[r.Path])
			}
		}
	}
}

// sources calls visit with every Go file that was written by hand.
func sources(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root(), func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root() && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "bin" || name == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, ".pb.go") || strings.HasSuffix(name, ".connect.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		visit(path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesAreShort: a file that cannot be read in one sitting is two files.
func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	var all []int
	sources(t, func(path string, text []byte) {
		lines := bytes.Count(text, []byte("\n"))
		all = append(all, lines)
		if lines > maxLines {
			t.Errorf("%s has %d lines, at most %d", path, lines, maxLines)
		}
		if filepath.Base(path) == "main.go" && strings.Contains(path, "/cmd/") && lines > maxMain {
			t.Errorf("%s has %d lines: main is a doorman, at most %d", path, lines, maxMain)
		}
	})
	slices.Sort(all)
	if median := all[len(all)/2]; median > medianLines {
		t.Errorf("half of the files have more than %d lines, want %d", median, medianLines)
	}
}

// TestPackagesHaveDoc: a package says what it promises in its doc.go, a program
// in its main.go.
func TestPackagesHaveDoc(t *testing.T) {
	t.Parallel()
	packages := map[string]string{} // folder → package
	documented := map[string]bool{}
	sources(t, func(path string, text []byte) {
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		name, dir := f.Name.Name, filepath.Dir(path)
		if strings.HasSuffix(name, "_test") {
			return
		}
		packages[dir] = name
		base := filepath.Base(path)
		if f.Doc != nil && (base == "doc.go" || name == "main" && base == "main.go") {
			documented[dir] = true
		}
	})
	for dir, name := range packages {
		if !documented[dir] {
			t.Errorf("%s: package %s has no package comment in doc.go (a program: main.go)", dir, name)
		}
	}
}

// TestLockFiles: a lock file that names a registry's host works at one place
// only; npm install --omit-lockfile-registry-resolved leaves it out.
func TestLockFiles(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if d.Name() != "package-lock.json" {
			return nil
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(`"resolved": "http`)) {
			t.Errorf("%s names the host of a registry", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
