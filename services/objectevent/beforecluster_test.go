package objectevent

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// TestOE3OneEventPerQuestionWhileANodeDies: of three nodes the one that leads the
// log goes, while questions are asked at two replicas and again until they are
// answered. Each has one event, one verdict, and an operation may name it.
func TestOE3OneEventPerQuestionWhileANodeDies(t *testing.T) {
	t.Parallel()
	nodes := bustest.Cluster(t, 3, bustest.Spec(func(spec *topology.Spec) { *spec = spec.And(HookTopology(topology.Options{Replicas: 3})) }))
	// A question that was cut off is taken over when its time is over.
	short := hookConfigured(func(c *HookConfig) { c.Budget = DefaultHooks().Budget })
	w := newHookWorld(t, func(s *hookSetup) { s.nats = nodes }, short)
	other := newHookWorld(t, on(w), short)
	w.register("guard", object{"failOpen": true, "timeout": "0.5s"})
	w.serve("guard", func(_ context.Context, b client.Before) client.Verdict { return client.Allow() })

	const questions, workers = 600, 12
	ctx, cancel := context.WithTimeout(t.Context(), 6*hookPatience)
	defer cancel()
	answers := make([]*objecteventv1.BeforeDeleteResponse, questions)
	var asked, again atomic.Int32
	ask := func(i int) {
		for try := 0; ; try++ {
			from := []*hookWorld{w, other}[(i+try)%2]
			out, err := from.before(object{"object": fmt.Sprint("u", i), "requestId": fmt.Sprint("r", i)})
			if err == nil {
				answers[i] = out
				return
			}
			if code := fault.CodeOf(err); code.Kind() != fault.Down || ctx.Err() != nil {
				t.Errorf("question %d: %v", i, err)
				return
			}
			again.Add(1)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	kill := make(chan struct{})
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				i := int(asked.Add(1)) - 1
				if i == questions/6 {
					close(kill)
				}
				if i >= questions {
					return
				}
				ask(i)
			}
		})
	}
	<-kill
	nodes.KillNode(nodes.Leader(topology.Events))
	all.Wait()
	nodes.AwaitLeader(topology.Events)
	t.Logf("%d questions, %d tries again", questions, again.Load())

	events := map[string]int{}
	for _, e := range w.stored("users", "deleting") {
		events[e.ID]++
	}
	for i, a := range answers {
		if a == nil {
			continue
		}
		if n := events[a.GetDeletionId()]; n != 1 {
			t.Errorf("question %d has %d events", i, n)
		}
		if d, err := other.h.deletions.check(t.Context(), a.GetDeletionId(), "AA", "users", fmt.Sprint("u", i), ToTrash, time.Now()); err != nil || d.Cursor != a.GetCursor() {
			t.Errorf("question %d: %+v %v", i, d, err)
		}
	}
	if len(events) != questions {
		t.Errorf("%d events of %d questions", len(events), questions)
	}
}
