package snippets

import (
	"fmt"
	"strings"
	"testing"
)

const (
	readme       = "README.md"
	belfryReadme = "services/belfry/README.md"
)

// answered is what POST /v1/events answers about the event of the README.
func answered(duplicate bool) string {
	return fmt.Sprintf(`\{"id":"17","cursor":"([^"]+)","duplicate":%t\}`, duplicate)
}

// TestReadme does what the README says, from top to bottom.
func TestReadme(t *testing.T) { //nolint:paralleltest // one make run at a time
	m := newMachine(t, readme)
	server := m.serve("make")

	// See it happen.
	second := m.terminal()
	second.run(m.block("window"))
	second.expect(`(?m)^id: \S+$`) // open
	post := m.block("post")
	second.run(post)
	posted := second.showed(answered(false))[1]
	if cursor, e := second.shown("2026-0042"); cursor != posted || e.ID != "17" || e.Type != "invoices.created" {
		t.Errorf("posted at %s; the window shows %s at %s", posted, e.ID, cursor)
	}
	second.run(post) // send it again
	if again := second.showed(answered(true))[1]; again != posted {
		t.Errorf("posted at %s, and again at %s", posted, again)
	}

	// Be away, and miss nothing.
	second.run(m.block("mailbox"))
	second.expect(`(?m)^\{"specversion":"1.0".*2026-0047`)

	// Let something happen at a time.
	second.run(m.block("schedule"))
	second.showed(`(?m)^reminder fires next `)
	second.showed(`(?m)^reminder +every 2s +publish invoices\.reminded `)
	if _, e := second.shown("invoices.reminded"); !strings.HasPrefix(e.ID, "reminder@") || e.Type != "invoices.reminded" {
		t.Errorf("the window shows %+v", e)
	}
	second.run("until bin/belfry schedule history reminder | grep ' fired '; do :; done") // written after the event
	second.run(m.block("forget"))
	second.showed(`(?m)^\d{4}-\d\d-\d\d .* fired +\S+ +reminder@`)
	second.showed(`(?m)^reminder is gone$`)

	// From Go.
	said := strings.TrimSpace(m.program("client"))
	if at, e := second.shown("2026-0044"); said != e.ID+" "+at || e.Subject != "4711" || e.Source != "/billing" {
		t.Errorf("the program says %q; the window shows %+v at %s", said, e, at)
	}
	// Events come in order: what was sent again would have come before.
	if n := strings.Count(second.out.String(), `"id":"17","source"`); n != 1 {
		t.Errorf("the window shows the first event %d times", n)
	}
	m.stop(server)
}
