package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// reachMost is how many positions of the log, of whatever tenant, a window is
// extended over at most. Who was away for longer reads the log for himself.
const reachMost = 1 << 16

// reach lets a tenant's window reach back to a position, if that is near: when a
// gateway has started and everybody comes back to it, each stretch of the log is
// read once, and not once for each client. One at a time per tenant; those who wait
// find most of what they need read already.
func (f *feed) reach(ctx context.Context, token string, after uint64) {
	f.hub.mu.Lock()
	t := f.hub.tenants[token]
	f.hub.mu.Unlock()
	if t == nil {
		return
	}
	select {
	case t.reaching <- struct{}{}:
		defer func() { <-t.reaching }()
	case <-ctx.Done():
		return
	}
	base, room := f.hub.within(t, after)
	if room == 0 {
		return
	}
	var ds []*delivery
	err := f.log.through(ctx, t.filter, after, base, func(m *logged) error {
		d := m.delivery()
		if room -= (kept{d: d}).size(); room < 0 {
			return errTooFar
		}
		ds = append(ds, d)
		return nil
	})
	switch {
	case err == nil:
		f.hub.extend(t, ds, after, base)
	case errors.Is(err, errTooFar):
		f.hub.mu.Lock()
		t.tooFar = max(t.tooFar, after)
		f.hub.mu.Unlock()
	case ctx.Err() == nil && fault.CodeOf(err) != fault.Unavailable: // else whoever resumes will meet it again
		f.out.Warn("recent window not extended", telemetry.KeyTenant, token, telemetry.Err(err))
	}
}

var errTooFar = errors.New("what was missed does not fit into memory")

// within says where a tenant's window begins, and how many bytes of what lies
// between after and there may be added; 0 = none.
func (h *hub) within(t *tenantFeed, after uint64) (base uint64, room int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if after >= t.base || after <= t.tooFar || t.base-after > reachMost {
		return t.base, 0
	}
	return t.base, h.recent.limit / 2
}

// extend adds to a tenant's window what lies between after and base, if it still
// begins at base.
func (h *hub) extend(t *tenantFeed, ds []*delivery, after, base uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tenants[t.token] == t && t.base == base {
		h.recent.prepend(t, ds, after, time.Now())
	}
}
