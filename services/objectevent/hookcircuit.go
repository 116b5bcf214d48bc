package objectevent

import (
	"sync"
	"time"
)

// A hook that fails again and again is not asked for a while, so that a dead one
// costs nothing instead of its timeout each time:
//
//	closed ──failures in a row──▶ open ──pause──▶ half open ──one call──▶ closed
//	                               ▲                             │
//	                               └──────────── it failed ──────┘
//
// Not being asked is a failure like the others: the hook's policy decides. Each
// process counts for itself; what one has seen need not be true from another.
type circuits struct {
	limit int           // failures in a row
	pause time.Duration // open
	// changed is told when a circuit opens and when it closes again, outside of
	// any lock.
	changed func(c circuitChange)

	mu   sync.Mutex
	byID map[hookID]*circuit // only of hooks that have failed
}

// hookID is a hook among those of all tenants.
type hookID struct{ tenant, name string }

// circuit is what is known of a hook that has failed.
type circuit struct {
	revision  int32 // of the hook; another one begins anew
	failures  int   // in a row
	open      bool
	openUntil time.Time // then it is tried once
	trying    bool      // that call is under way
}

// circuitChange says that a circuit has opened or closed.
type circuitChange struct {
	id       hookID
	opened   bool
	failures int
	reason   string // of the last one
}

func newCircuits(limit int, pause time.Duration, changed func(circuitChange)) *circuits {
	return &circuits{limit: limit, pause: pause, changed: changed, byID: map[hookID]*circuit{}}
}

// The states, as GetHook shows them.
const (
	circuitClosed   = "closed"
	circuitOpen     = "open"
	circuitHalfOpen = "half_open"
)

// state is how the hook's circuit stands.
func (c *circuits) state(id hookID, revision int32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch k := c.byID[id]; {
	case k == nil || k.revision != revision || !k.open:
		return circuitClosed
	case k.trying || !time.Now().Before(k.openUntil):
		return circuitHalfOpen
	}
	return circuitOpen
}

// enter says whether the hook may be called; who is let in calls leave.
func (c *circuits) enter(id hookID, revision int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	switch {
	case k == nil || k.revision != revision || !k.open:
		return true
	case k.trying || time.Now().Before(k.openUntil):
		return false
	}
	k.trying = true
	return true
}

// leave says how a call ended.
func (c *circuits) leave(id hookID, revision int32, failed bool, reason string) {
	if change := c.count(id, revision, failed); change != nil {
		change.reason = reason
		c.changed(*change)
	}
}

// count is leave under the lock; nil = open is what open was.
func (c *circuits) count(id hookID, revision int32, failed bool) *circuitChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	if k != nil && k.revision > revision {
		return nil // a call from before the hook was changed says nothing about it now
	}
	if !failed {
		delete(c.byID, id)
		if k == nil || !k.open {
			return nil
		}
		return &circuitChange{id: id}
	}
	if k == nil || k.revision != revision {
		k = &circuit{revision: revision}
		c.byID[id] = k
	}
	k.failures++
	switch {
	case k.open && k.trying:
		k.trying, k.openUntil = false, time.Now().Add(c.pause)
	case !k.open && k.failures >= c.limit:
		k.open, k.openUntil = true, time.Now().Add(c.pause)
		return &circuitChange{id: id, opened: true, failures: k.failures}
	}
	return nil
}

// cancel takes back an enter whose call was given up for reasons of ours.
func (c *circuits) cancel(id hookID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.byID[id]; k != nil {
		k.trying = false
	}
}

// forget is for a hook that is no more.
func (c *circuits) forget(id hookID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

// opened counts the circuits that are open, for the metric.
func (c *circuits) opened() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.byID {
		if k.open {
			n++
		}
	}
	return n
}
