package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
)

// GW1: the example client of the wire book, which knows nothing but the book, misses
// nothing when every front is killed under it.
func TestGW1PlainExample(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		c := publisher(t, w)
		run := &output{} // of lines "<cursor> <type> <data>"
		cmd := exec.Command(filepath.Join(bin, "plain"), "http://"+w.fronts[0].addr, w.token(), `{"topic":"invoices"}`)
		cmd.Stdout = run
		cmd.Stderr = run
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it never ends by itself
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("the client printed:\n%s", run)
			}
		})
		events := func() (n int) { return strings.Count(run.String(), `"invoices.created"`) }
		first := 1000
		bustest.Eventually(t, patience, "the client is live", func() bool {
			send(t, c, first, 1)
			first++
			return events() > 0
		})
		// Of those that were sent meanwhile none is on its way any more.
		if _, err := c.Publish(soon(t), event.Event{Tenant: "AA", Topic: "invoices", Verb: "created", Data: []byte(`"last"`)}); err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, patience, "the client is up to date", func() bool { return strings.Contains(run.String(), `"last"`) })
		before := events()
		w.end(0, syscall.SIGKILL)
		if len(w.fronts) > 1 { // the log lives elsewhere
			send(t, c, 0, 20)
		}
		w.revive(0)
		send(t, c, 20, 10)
		want := 10
		if len(w.fronts) > 1 {
			want = 30
		}
		bustest.Eventually(t, patience, "it has what it missed", func() bool { return events() >= before+want })
		seen := map[string]bool{}
		last := ""
		for line := range strings.Lines(run.String()) {
			cursor, _, _ := strings.Cut(line, " ")
			if !strings.Contains(line, `"invoices.created"`) {
				continue
			}
			if seen[cursor] || cursor <= last {
				t.Fatalf("%s came after %s", cursor, last)
			}
			seen[cursor], last = true, cursor
		}
	})
}
