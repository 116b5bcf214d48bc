package snippets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const wireBook = "proto/README.md"

// TestWireBook does what chapter 1 of the wire book says.
func TestWireBook(t *testing.T) { //nolint:paralleltest // one make run at a time
	m := newMachine(t, wireBook)
	server := m.serve("server")
	x := m.terminal()
	x.run(m.block("window"))
	x.expect(`(?m)^id: \S+$`) // open
	x.run(m.block("http"))
	posted := x.showed(answered(false))[1]
	if cursor, e := x.shown("2026-0042"); cursor != posted || e.ID != "17" {
		t.Errorf("posted at %s; the window shows %s at %s", posted, e.ID, cursor)
	}
	x.run(m.block("nats"))
	if cursor, e := x.shown("2026-0043"); e.ID != cursor || e.Source != "/nats" || e.Type != "invoices.created" || e.Malformed != "" {
		t.Errorf("the window shows %+v at %s", e, cursor)
	}
	m.operation(x)
	m.hook(x)
	m.stop(server)
}

// hook does what the chapter on hooks says: one is registered, a program in Go serves
// it, and a deletion is refused in its words. And its signature is right.
func (m *machine) hook(x *terminal) {
	m.t.Helper()
	x.run(m.block("hook-add"))
	x.showed(`(?m)^guard is asked on hook\.AA\.guard`)
	file := filepath.Join(m.t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(m.block("hook")), 0o600); err != nil {
		m.t.Fatal(err)
	}
	handler := m.terminal()
	handler.feed("cd tests && go run " + file + " 2>&1")
	x.run("until bin/belfry hook test guard | grep 'guard  sys.userDelete  allowed'; do :; done")
	x.run(m.block("hook-ask"))
	x.expect(`"allowed":false,"reason":"is the only administrator","refusedBy":"guard"`)
	handler.expect(`sys\.userDelete users 42`)
	handler.close()
	if said := m.program("signature"); strings.TrimSpace(said) != "true" {
		m.t.Errorf("the signature of the book: %q", said)
	}
}
