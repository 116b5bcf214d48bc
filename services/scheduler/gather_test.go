package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

func changeOf(id string, from uint64) change {
	return change{from, &definition{Tenant: "AA", ID: id}}
}

// A thousand changes at once need few commits, and each gets its own answer: the
// one that is refused does not spoil the others.
func TestChangesAtOnceShareBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		commits, stored := 0, map[string]bool{}
		g := &gatherer{commit: func(_ context.Context, changes ...change) error {
			time.Sleep(5 * time.Millisecond) //nolint:forbidigo // in a bubble
			mu.Lock()
			defer mu.Unlock()
			commits++
			seen := map[subject.Schedule]bool{}
			for _, c := range changes {
				switch a := c.to.address(); {
				case seen[a]:
					t.Errorf("%s is in a batch twice", c.to.ID)
				case c.from == 7:
					return fault.Wrap(fault.Conflict, bus.ErrExpectation, "refused")
				default:
					seen[a] = true
				}
			}
			for _, c := range changes {
				stored[c.to.ID] = true
			}
			return nil
		}}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				from := uint64(0)
				if i == 500 {
					from = 7
				}
				err := g.add(t.Context(), changeOf(fmt.Sprint(i%999), from)) // 0 comes twice
				if conflicted(err) != (from == 7) || from == 0 && err != nil {
					t.Errorf("change %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if len(stored) != 998 || stored["500"] || commits > 30 {
			t.Errorf("%d stored in %d commits", len(stored), commits)
		}
		synctest.Wait()
		if g.working || len(g.waiting) > 0 {
			t.Error("work goes on with nothing to do")
		}
	})
}

// Whoever gives up is told that nothing is known, and does not take the others'
// batch along; an error that is nobody's fault is everybody's.
func TestAChangeThatIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := fault.New(fault.Unavailable, "no leader")
		g := &gatherer{commit: func(ctx context.Context, changes ...change) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
			if slices.ContainsFunc(changes, func(c change) bool { return c.to.ID == "b" }) {
				return down
			}
			return nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := g.add(ctx, changeOf("a", 0)); fault.CodeOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		var both sync.WaitGroup
		for _, id := range []string{"b", "c"} {
			both.Go(func() {
				if err := g.add(t.Context(), changeOf(id, 0)); !errors.Is(err, down) {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		both.Wait()
	})
}
