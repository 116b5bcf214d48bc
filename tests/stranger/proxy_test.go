package stranger

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// version is what the tree is published as, for this test only.
const version = "v0.0.1"

const root = "github.com/belfry-events/belfry/"

// publish writes the module in folder into a file-system module proxy, as a
// release would: the requires moved to the version, the replaces gone.
func publish(t *testing.T, proxy, folder string, requires ...string) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), folder)
	check(t, os.CopyFS(tree, os.DirFS(filepath.Join("..", "..", folder))))
	mod := filepath.Join(tree, "go.mod")
	b, err := os.ReadFile(mod)
	check(t, err)
	f, err := modfile.Parse(mod, b, nil)
	check(t, err)
	for _, r := range requires {
		check(t, f.AddRequire(root+r, version))
		check(t, f.DropReplace(root+r, ""))
	}
	f.Cleanup()
	b, err = f.Format()
	check(t, err)
	check(t, os.WriteFile(mod, b, 0o600))

	path, err := module.EscapePath(root + folder)
	check(t, err)
	dir := filepath.Join(proxy, path, "@v")
	check(t, os.MkdirAll(dir, 0o700))
	file := func(ext string) string { return filepath.Join(dir, version+ext) }
	check(t, os.WriteFile(file(".mod"), b, 0o600))
	check(t, os.WriteFile(file(".info"), fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o600))
	out, err := os.Create(file(".zip"))
	check(t, err)
	check(t, zip.CreateFromDir(out, module.Version{Path: root + folder, Version: version}, tree))
	check(t, out.Close())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
