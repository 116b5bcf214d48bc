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
type quotas struct {
	store *store
	limit uint64

	mu     sync.Mutex
	counts map[string]counted
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
	return &quotas{store: s, limit: uint64(limit), counts: map[string]counted{}}
}

// take makes room for one more. Code too_many_schedules.
func (q *quotas) take(ctx context.Context, tenant string) error {
	if q.takeKnown(tenant) {
		return nil
	}
	n, err := q.store.count(ctx, subject.TenantSchedules(tenant))
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.counts) >= maxTenants {
		clear(q.counts)
	}
	if n >= q.limit {
		return fault.New(fault.TooManySchedules, "the tenant has %d schedules, the maximum is %d", n, q.limit)
	}
	q.counts[tenant] = counted{n + 1, time.Now()}
	return nil
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
