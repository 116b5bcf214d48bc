package scheduler

import (
	"context"
	"sync"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// gatherer puts changes that are made at the same time into one batch. A batch
// costs a sync of the disk at one replica and a round of the cluster at three,
// whatever is in it, so a thousand users who make a schedule at once need not
// wait for a thousand of them.
//
// It waits for nobody: a change that comes alone goes alone, and while a batch is
// under way the next one gathers.
type gatherer struct {
	commit func(context.Context, ...change) error // all or none

	mu      sync.Mutex
	waiting []*gathered
	working bool
}

type gathered struct {
	change change
	done   chan error // of one place: nobody may be waiting any more
}

// maxGathered bounds a batch that has gathered, well below what a stream takes: one
// that is refused is tried again in halves.
const maxGathered = 200

// add makes one change; its errors are commit's. Code unavailable if ctx ends
// first: then it is not known what became of it.
func (g *gatherer) add(ctx context.Context, c change) error {
	one := &gathered{c, make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, one)
	if !g.working {
		g.working = true
		// No caller's patience is the others' as well; a batch has a limit of its own.
		go g.work(context.WithoutCancel(ctx))
	}
	g.mu.Unlock()
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "it is not known whether the change was made")
	}
}

// work makes batches until nobody waits.
func (g *gatherer) work(ctx context.Context) {
	for {
		batch := g.take()
		if len(batch) == 0 {
			return
		}
		g.make(ctx, batch)
	}
}

// take is the next batch: the oldest changes, at most one of each schedule, which
// could not have seen another's.
func (g *gatherer) take() (batch []*gathered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rest []*gathered
	taken := map[subject.Schedule]bool{}
	for _, one := range g.waiting {
		if a := one.change.to.address(); len(batch) < maxGathered && !taken[a] {
			batch, taken[a] = append(batch, one), true
		} else {
			rest = append(rest, one)
		}
	}
	g.waiting = rest
	g.working = len(batch) > 0
	return batch
}

// make commits a batch. One change that is refused spoils it for the others;
// halving finds that one in few steps.
func (g *gatherer) make(ctx context.Context, batch []*gathered) {
	changes := make([]change, len(batch))
	for i, one := range batch {
		changes[i] = one.change
	}
	err := g.commit(ctx, changes...)
	if refused := conflicted(err) || fault.CodeOf(err).Kind() == fault.Invalid; err != nil && refused && len(batch) > 1 {
		g.make(ctx, batch[:len(batch)/2])
		g.make(ctx, batch[len(batch)/2:])
		return
	}
	for _, one := range batch {
		one.done <- err
	}
}
