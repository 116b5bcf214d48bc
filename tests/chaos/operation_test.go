package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/objectevent"
)

const operationRounds = 5 // one of each blow

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
	killLeader := func(stream string) func() string {
		return func() string {
			p := w.leader(stream)
			p.kill()
			w.wait(time.Duration(w.random.IntN(2000)) * time.Millisecond)
			p.start()
			return p.name
		}
	}
	return []blow{
		{"kill -9 of a worker", w.killWorker},
		{"kill -9 of the leader of OPERATIONS", killLeader(objectevent.Operations)},
		{"kill -9 of the leader of TRASH", killLeader(objectevent.Trash)},
		{"kill -9 of the leader of EVENTS", killLeader(topology.Events)},
		{"freeze of a worker", w.freezeWorker},
	}
}

func (w *deciders) killWorker() string {
	p := w.all[w.random.IntN(len(w.all))]
	p.kill()
	w.wait(time.Duration(w.random.IntN(1000)) * time.Millisecond)
	p.start()
	return p.name
}

// freezeWorker stops a worker in the middle of whatever it does, between events and the
// record of the trash that follows from them as well, for longer than its place is kept.
func (w *deciders) freezeWorker() string {
	p := w.all[w.random.IntN(len(w.all))]
	asleep := 6*time.Second + time.Duration(w.random.IntN(1000))*time.Millisecond
	p.signal(syscall.SIGSTOP)
	w.wait(asleep)
	p.signal(syscall.SIGCONT)
	return fmt.Sprintf("%s for %s", p.name, asleep)
}

func (w *deciders) wait(d time.Duration) {
	w.t.Helper()
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
		w.t.Fatal("test over")
	}
}

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
