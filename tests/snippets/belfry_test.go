package snippets

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/event"
)

// TestBelfryReadme does what the README of the command line says, from top to bottom.
func TestBelfryReadme(t *testing.T) { //nolint:paralleltest // one make run at a time
	m := newMachine(t, belfryReadme)
	server := m.serve("make")
	second := m.terminal()
	second.run(m.block("window"))
	second.expect(`(?m)^id: \S+$`) // open

	// Any NATS client.
	said := m.program("nats")
	cursor, e := second.shown("2026-0043")
	c, err := event.ParseCursor(cursor)
	if err != nil || !strings.Contains(said, fmt.Sprintf("stored as %d\n", c.Seq)) || e.Type != "invoices.created" || e.Malformed != "" {
		t.Errorf("the program says %q; the window shows %+v at %s, %v", said, e, cursor, err)
	}

	// Read the log.
	second.run(m.block("tail"))
	paid := second.showed(`(?m)^cursor  (\S+)$`)[1]
	if at, _ := second.shown("invoices.paid"); at != paid {
		t.Errorf("published at %s, the window shows %s", paid, at)
	}
	for _, line := range []string{
		cursor + `  .*  AA  invoices\.created  .*2026-0043`,
		paid + `  .*  AA  invoices\.paid  .*2026-0042`,
	} {
		second.showed(`(?m)^` + line)
	}

	second.run("bin/belfry tail --tenant AA --topic invoices --count 1 --after " + cursor)
	if n := strings.Count(second.out.String(), "\n"+paid+"  "); n != 2 {
		t.Errorf("the event after %s was shown %d times, want twice", cursor, n)
	}

	// Tell somebody who is there.
	second.run(m.block("notify"))
	second.showed(`(?m)^anna +\d{4}-\S+ \S+ +1 +1$`)
	second.showed(`(?m)^reached  1 connections at 1 gateways$`)
	second.expect(`(?m)^data: .*"type":"NOT".*"recipient":"anna".*Can we give 5 % more\?`)

	// Report what was done, twice.
	report := m.block("report")
	second.run(report)
	if _, e := second.shown("2026-0045"); e.ID != "erp-1" || e.Type != "invoices.created" || e.Subject != "4711" {
		t.Errorf("the window shows %+v", e)
	}
	second.run(report)
	second.expect(`erp-1  duplicate`)

	// Be told when something changes.
	second.run(m.block("alert"))
	second.expect(`(?m)^large holds for every change behind \S+, revision 1; its alerts are finance\.raised$`)
	second.expect(`(?m)^\{"specversion":"1.0".*"finance.raised".*"message":"4712 is over 2500"`)
	second.expect(`(?m)^large +invoices +insert,update +new\.total > 1000 +finance\.raised `)

	// Say no before something is deleted.
	guard := m.terminal()
	guard.feed(m.block("hook"))
	guard.expect(`(?m)^serving guard of AA`)
	second.run("until bin/belfry hook test guard | grep 'refused in'; do :; done")
	second.feed(m.block("veto")) // it fails, as it says
	second.expect(`guard  sys\.userDelete  refused in \S+: is the only administrator`)
	second.expect(`block \d+ is over: bin/belfry object trash users 42`)
	guard.interrupt()

	// Look when something would happen.
	second.run(m.block("preview"))
	second.showed(`(?m)^Sun 2026-10-25 02:30:00 \+02:00 +2026-10-25 00:30:00 +clocks go back, 03:00 → 02:00; fires the first time$`)

	// Keep a copy.
	second.run(m.block("backup"))
	second.showed(`(?m)^wrote \d+ streams with \d+ messages \(\d+ KiB\) to ./backup in `)

	// Set it.
	second.run(m.block("config"))
	second.showed(`(?m)^events\.max_age +2d +environment BELFRY_EVENTS_MAX_AGE`)
	second.showed(`(?m)^gateway\.queue_bytes +4MiB +flag --set`)
	second.showed(`(?m)^events\.max_bytes +1MiB +default`)

	// Separate machines.
	third := m.terminal()
	third.feed(m.block("separate"))
	m.ready(third, "127.0.0.1:9091")
	second.run("echo \"token $TOKEN\"")
	token := second.showed(`(?m)^token (\S+)$`)[1]
	status, page := get(t, "http://"+m.here("127.0.0.1:8081")+"/v1/events?topic=invoices", token)
	if n := len(regexp.MustCompile(`"cursor":"[^"]+","event"`).FindAllString(page, -1)); status != http.StatusOK || n < 3 {
		t.Errorf("the second gateway serves %d events: %d %s", n, status, page)
	}
	third.interrupt()

	// Who may connect.
	second.run(m.block("permissions"))
	second.showed(`(?m)^nats/server\.conf, and the passwords of 3 users beside it`)
	second.run("cat nats/server.conf")
	second.showed(`"publish":\{"allow":\["svc\.>","evt\.AA\.>"`)

	// What it takes.
	second.run(m.block("bench"))
	for _, line := range []string{"publish to window, 10 open, p99", "Receive and Confirm, p99", "publish over NATS, as fast as acknowledged"} {
		second.showed(`(?m)^` + line + ` +[\d.]+( ms|/s) +[\d.]+( ms|/s) `)
	}
	m.stop(server)

	// Make a platform of the copy.
	fourth := m.terminal()
	fourth.feed(m.block("alone"))
	fourth.expect(`NATS is ready`)
	second.run(m.block("restore"))
	second.showed(`(?m)^restored \d+ streams with \d+ messages \(\d+ KiB\) as of \S+; the services may start$`)
	fourth.interrupt()
}
