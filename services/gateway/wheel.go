package gateway

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// wheel pings connections and finds those that are dead or whose token has run
// out, without a timer for each: one tick a second looks at every connection's
// expiry, and visits the connections of one slot, so a turn takes PingEvery.
type wheel struct {
	mu    sync.Mutex
	slots []map[*connection]struct{}
	next  int // where the next newcomer goes: spread evenly
}

func newWheel(turn time.Duration) *wheel {
	w := &wheel{slots: make([]map[*connection]struct{}, max(1, int(turn/time.Second)))}
	for i := range w.slots {
		w.slots[i] = map[*connection]struct{}{}
	}
	return w
}

func (w *wheel) add(c *connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.slot = w.next
	w.next = (w.next + 1) % len(w.slots)
	w.slots[c.slot][c] = struct{}{}
}

func (w *wheel) remove(c *connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slots[c.slot], c)
}

func (w *wheel) at(tick int) []*connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[tick%len(w.slots)]
	list := make([]*connection, 0, len(slot))
	for c := range slot {
		list = append(list, c)
	}
	return list
}

// expired lists the connections whose token has had its time, and those that are to
// be told that it soon will have, once each.
func (w *wheel) expired(now, soon int64) (over, warn []*connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, slot := range w.slots {
		for c := range slot {
			switch {
			case now >= c.expires:
				over = append(over, c)
			case soon >= c.expires && !c.warned:
				c.warned = true
				warn = append(warn, c)
			}
		}
	}
	return over, warn
}

// renew gives a connection more time.
func (w *wheel) renew(c *connection, expires int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.expires, c.warned = expires, false
}

// turnWheel is the wheel's goroutine.
func (s *Service) turnWheel(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case now := <-tick.C:
			over, warn := s.wheel.expired(now.Unix(), now.Add(s.config.ExpiryWarning).Unix())
			for _, c := range over {
				c.shut(fault.TokenExpired)
			}
			for _, c := range warn {
				if it := expiring(c.proto, time.Unix(c.expires, 0).Sub(now)); it != nil {
					c.answer(it)
				}
			}
			for _, c := range s.wheel.at(n) {
				s.visit(c, now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// listening is when a connection was last heard of while we do not hear: what it has
// said is still being answered. It is in the future; who is gone then is found by a
// write that is not taken.
const listening = math.MaxInt32 << 8

// visit is one connection's turn.
func (s *Service) visit(c *connection, now time.Time) {
	silent := c.proto == plain && now.Sub(time.Unix(c.alive.Load(), 0)) > 2*s.config.PingEvery+time.Second
	switch {
	case silent:
		c.kill()
	case c.proto == plain:
		c.answer(pingFrame)
	case c.proto == sse:
		c.answer(ssePing)
	default: // the hub has a clock of its own
	}
}
