package main

import (
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A person's events are erased by nothing but the data directory; the dry run
// only counts.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	at := []string{"--nats", strings.TrimPrefix(p.nats, "nats://")}
	if out, err := belfry(t, "", append([]string{"publish", "users.created", `{"name":"Jan"}`, "--tenant", "AA", "--subject", "jan"}, at...)...); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	at = append(at, "--data-dir", dir)
	for _, c := range []struct{ args, says string }{
		{"--tenant AA --user jan --dry-run", "would erase 1 events of the log, 0 waiting in mailboxes, 0 dead letters\n"},
		{"--tenant AA --user jan", "erased 1 events of the log, 0 waiting in mailboxes, 0 dead letters\n"},
		{"--tenant AA --user jan", "erased 0 events of the log, 0 waiting in mailboxes, 0 dead letters\n"},
	} {
		out, err := belfry(t, "", append(append([]string{"erase"}, strings.Fields(c.args)...), at...)...)
		if err != nil || out != c.says {
			t.Errorf("erase %s: %q %v", c.args, out, err)
		}
	}
	if _, err := belfry(t, "", append([]string{"erase", "--user", "jan"}, at...)...); fault.CodeOf(err) != fault.UsageError {
		t.Errorf("without a tenant: %v", err)
	}
}
