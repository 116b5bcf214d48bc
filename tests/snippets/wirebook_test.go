package snippets

import (
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
	m.stop(server)
}
