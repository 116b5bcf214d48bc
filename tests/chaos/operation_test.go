package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/objectevent"
)

const operationRounds = 6 // one of each blow

// deciders is the object-event service under test: two processes that share eight
// partitions, and a source system that reports to them.
type deciders struct {
	*cluster
	dealer
	all    []*replica
	source *reporter
}

// TestOE6EveryOperationOnceInOrder is the kill test of object events: whatever dies or
// sleeps, every operation raises its events once, in the order of its object, and the
// trash agrees with them.
func TestOE6EveryOperationOnceInOrder(t *testing.T) {
	rounds := min(setting(t, "BELFRY_CHAOS_ROUNDS", operationRounds), 50)
	seed := setting(t, "BELFRY_CHAOS_SEED", rand.Uint64N(1_000_000))
	sayf(t, "%d rounds with operations on %d objects, BELFRY_CHAOS_SEED=%d", rounds, objects, seed)
	w := newDeciders(t, seed)
	w.settled()
	w.rounds(t, rounds, time.Second, w)
	if t.Failed() {
		return
	}
	w.end(w.count)
}

// end lets everything that was reported be decided, has it counted, and ends the workers
// in peace.
func (w *deciders) end(count func()) {
	w.t.Helper()
	w.source.end()
	w.decided(w.source.soFar())
	count()
	for _, p := range w.all {
		if code := p.stop(); code != 0 {
			w.t.Errorf("%s: exit code %d after SIGTERM", p.name, code)
		}
	}
}

func newDeciders(t *testing.T, seed uint64) *deciders {
	t.Helper()
	w := &deciders{cluster: newCluster(t), dealer: newDealer(seed)}
	o := topology.Options{Replicas: nodes}
	if _, err := topology.Ensure(t.Context(), w.bus.JS, topology.Platform(o).And(objectevent.Topology(o)), o); err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		w.all = append(w.all, w.startReplica(fmt.Sprintf("objectevent-%d", i), "objectevent"))
	}
	w.source = startReporter(t, w.bus.JS, seed)
	return w
}

func (w *deciders) blows() []blow {
	return append(w.leaders(w.cluster, objectevent.Operations, objectevent.Trash, topology.Events),
		blow{"kill -9 of a worker", func() string { return w.kill(w.any(), w.upTo(time.Second)) }},
		// In the middle of whatever it does, between events and the record of the trash
		// that follows from them as well, for longer than its place is kept.
		blow{"freeze of a worker", func() string { return w.freeze(w.any(), 6*time.Second+w.upTo(time.Second)) }})
}

func (w *deciders) any() *process { return w.all[w.random.IntN(len(w.all))].process }

// settled waits until the cluster is whole, and an operation of each object that was
// reported after this call has been decided.
func (w *deciders) settled() {
	w.t.Helper()
	w.whole(objectevent.Operations, objectevent.Trash, topology.Events, "KV_"+topology.RelayCopies)
	w.decided(w.source.soFar() + objects)
}

// decided waits until the source's first n operations have their receipts.
func (w *deciders) decided(n int) {
	w.t.Helper()
	for i := max(n-objects, 0); i < n; i++ { // the last of every object, so all before them
		f := factOf(i)
		receipt, err := subject.OperationRecord("AA", f.id)
		if err != nil {
			w.t.Fatal(err)
		}
		w.eventually(f.id+" is decided", func(ctx context.Context) bool {
			s, err := w.bus.JS.Stream(ctx, topology.Events)
			if err != nil {
				return false
			}
			_, err = s.GetLastMsgForSubject(ctx, receipt)
			return err == nil
		})
	}
}
