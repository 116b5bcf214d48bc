package gateway

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
)

// GW2: of thousands who ask for the log's state at once few questions reach its
// leader, and nobody gets an answer that is older than what he knows.
func TestGW2StateIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int64
	sub, err := w.nats.Bus().NC.Subscribe("$JS.API.STREAM.INFO.EVENTS", func(*nats.Msg) { asked.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the test is over
	const callers, rounds = 200, 10
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range rounds {
				known := w.publish("evt.AA.invoices.created", `{}`)
				state, err := w.s.log.State(t.Context())
				if err != nil || state.Last < known {
					t.Errorf("the log ends at %d, and %d is stored: %v", state.Last, known, err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := w.nats.Bus().NC.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n > callers*rounds/4 {
		t.Errorf("%d questions for %d callers", n, callers*rounds)
	} else {
		t.Logf("%d questions for %d calls", n, callers*rounds)
	}
}
