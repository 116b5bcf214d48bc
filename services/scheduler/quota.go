package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// quotas bound how many schedules a tenant has. Counting is left to the server and
// its answer believed for a while, what is made here meanwhile added; so with many
// replicas a tenant may get above the limit by what the others make in that time,
// and nobody is refused on an old number.
//
// What remains of deleted schedules is counted with the others, because the server
// counts subjects. Only where that would make a difference is it looked at.
type quotas struct {
	store *store
	limit uint64

	mu     sync.Mutex
	counts map[string]counted // schedules, and what remains of some
	gone   map[string]counted // of these
}

type counted struct {
	n  uint64
	at time.Time
}

const (
	countFor   = 10 * time.Second
	maxTenants = 10_000 // remembered
)

func newQuotas(s *store, limit int) *quotas {
	return &quotas{store: s, limit: uint64(limit), counts: map[string]counted{}, gone: map[string]counted{}}
}

// take makes room for one more. Code too_many_schedules.
func (q *quotas) take(ctx context.Context, tenant string) error {
	if q.takeKnown(tenant) {
		return nil
	}
	pattern := subject.TenantSchedules(tenant)
	n, err := q.store.count(ctx, pattern)
	if err != nil {
		return err
	}
	if n >= q.limit {
		gone, err := q.remains(ctx, tenant, pattern)
		if err != nil {
			return err
		}
		if n -= min(n, gone); n >= q.limit {
			return fault.New(fault.TooManySchedules, "the tenant has %d schedules, the maximum is %d", n, q.limit)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	remember(q.counts, tenant, n+1)
	return nil
}

// remains is how many schedules of a tenant are deleted and not forgotten yet.
func (q *quotas) remains(ctx context.Context, tenant, pattern string) (uint64, error) {
	q.mu.Lock()
	c, ok := q.gone[tenant]
	q.mu.Unlock()
	if ok && time.Since(c.at) <= countFor {
		return c.n, nil
	}
	n, err := q.store.countRemains(ctx, pattern)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	remember(q.gone, tenant, n)
	return n, nil
}

// released notes that a schedule was deleted: there may be room again.
func (q *quotas) released(tenant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.gone, tenant)
}

func remember(counts map[string]counted, tenant string, n uint64) {
	if len(counts) >= maxTenants {
		clear(counts)
	}
	counts[tenant] = counted{n, time.Now()}
}

func (q *quotas) takeKnown(tenant string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c, ok := q.counts[tenant]
	if !ok || time.Since(c.at) > countFor || c.n >= q.limit {
		return false
	}
	c.n++
	q.counts[tenant] = c
	return true
}
