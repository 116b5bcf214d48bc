package snippets

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// machine is where one document is tried: a home and ports of its own.
type machine struct {
	t      *testing.T
	env    []string
	ports  *strings.Replacer
	blocks map[string]block // not run yet
}

// settings are the default addresses and what sets them; the two of a second
// process are set by the text itself.
var settings = map[string]string{
	"127.0.0.1:8080": "BELFRY_HTTP_ADDR",
	"127.0.0.1:9090": "BELFRY_ADMIN_ADDR",
	"127.0.0.1:4222": "BELFRY_NATS_ADDR",
	"127.0.0.1:8081": "",
	"127.0.0.1:9091": "",
}

// newMachine is for one document, all of whose blocks must have been run when
// the test has succeeded.
func newMachine(t *testing.T, file string) *machine {
	t.Helper()
	m := &machine{t: t, env: environment(t), blocks: map[string]block{}}
	var pairs []string
	addrs := bustest.FreeAddrs(t, len(settings))
	for i, addr := range slices.Sorted(maps.Keys(settings)) {
		free := addrs[i]
		// bash connects to /dev/tcp/<host>/<port>.
		pairs = append(pairs, addr, free, strings.Replace(addr, ":", "/", 1), strings.Replace(free, ":", "/", 1))
		if name := settings[addr]; name != "" {
			m.env = append(m.env, name+"="+free)
		}
	}
	m.ports = strings.NewReplacer(pairs...)
	for _, b := range blocks(t, file) {
		if b.name != "" {
			m.blocks[b.name] = b
		}
	}
	t.Cleanup(func() {
		for name := range m.blocks {
			if !t.Failed() {
				t.Errorf("%s: run=%s was not run", file, name)
			}
		}
	})
	return m
}

// here is an address or a text of the document, on this machine.
func (m *machine) here(text string) string { return m.ports.Replace(text) }

// block is the text of run=<name>.
func (m *machine) block(name string) string {
	m.t.Helper()
	b, ok := m.blocks[name]
	if !ok {
		m.t.Fatalf("there is no other block run=%s", name)
	}
	delete(m.blocks, name)
	return m.here(b.text)
}

// program runs a block of Go from its own file, where the workspace finds what
// it imports, and gives what it printed.
func (m *machine) program(name string) string {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(m.block(name)), 0o600); err != nil {
		m.t.Fatal(err)
	}
	x := m.terminal()
	defer x.close()
	x.run("cd tests && go run " + file + " 2>&1")
	said, _, _ := strings.Cut(x.out.String(), "block 1 is over")
	return said
}

// environment is that of somebody who has just cloned: an empty home, nothing of
// ours set, and Go's caches as they are.
func environment(t *testing.T) []string {
	t.Helper()
	gone := []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "GOFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CDPATH"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "BELFRY_") || slices.Contains(gone, name)
	})
	// -trimpath keeps the place of the copy out of the build cache's keys.
	env = append(env, "HOME="+t.TempDir(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"))
	// Go's own settings and telemetry stay with the user: its telemetry writes
	// from a process of its own, even after the home is removed.
	if dir, err := os.UserConfigDir(); err == nil {
		env = append(env, "XDG_CONFIG_HOME="+dir)
	}
	names := []string{"GOPATH", "GOCACHE", "GOMODCACHE"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		env = append(env, names[i]+"="+dir)
	}
	return env
}
