package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A person is erased by nothing but the data directory, wherever a service has kept
// something; the dry run only counts, and afterwards the name stands only where the
// command says that it does.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	p.used(t, dir)
	at := []string{"--nats", strings.TrimPrefix(p.nats, "nats://"), "--data-dir", dir}
	erase := func(args string) string {
		t.Helper()
		out, err := belfry(t, "", append(append([]string{"erase"}, strings.Fields(args)...), at...)...)
		if err != nil {
			t.Fatalf("erase %s: %q %v", args, out, err)
		}
		return out
	}
	// Four changes by jan or about jan and the alert; of three that waited one is dead.
	const counts = "6 events of the log, 2 waiting in mailboxes, 1 dead letters of mailboxes, 0 given up, 1 verdicts, 1 schedules, 0 entries of their histories\n"
	for _, c := range []struct{ args, says string }{
		{"--tenant AA --user jan --dry-run", "would erase " + counts},
		{"--tenant AA --user jan", "erased " + counts},
		{"--tenant AA --user jan", "erased " + regexp.MustCompile(`\d+`).ReplaceAllString(counts, "0")},
	} {
		if out := erase(c.args); out != c.says {
			t.Errorf("erase %s: %q, not %q", c.args, out, c.says)
		}
	}
	name := regexp.MustCompile(`\bjan\b`)
	newest(t, store(t, p.nats, dir), func(stream string, m *jetstream.RawStreamMsg) {
		if strings.HasPrefix(m.Subject, "ctl.op.") {
			return // by the object's id, until the log forgets it
		}
		if name.Match(m.Data) || name.MatchString(m.Header.Get("ce-senderuser")+" "+m.Subject) {
			t.Errorf("%s of %s still names jan: %s", m.Subject, stream, m.Data)
		}
	})
	if _, err := belfry(t, "", append([]string{"erase", "--user", "jan"}, at...)...); fault.CodeOf(err) != fault.UsageError {
		t.Errorf("without a tenant: %v", err)
	}
}
