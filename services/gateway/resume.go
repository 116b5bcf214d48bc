package gateway

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// resumption is a client's wish to go on from where it was cut.
type resumption struct {
	cursor event.Cursor
	parts  int // SSE: how many forms of the event behind cursor it has already
	want   map[filter][]key
}

// parseCursor reads a cursor as clients send it back; an SSE client that was
// cut between two forms of one event sends "<cursor>+<forms it has>".
func parseCursor(s string) (c event.Cursor, parts int, err error) {
	text, rest, split := strings.Cut(s, "+")
	if c, err = event.ParseCursor(text); err != nil || !split {
		return c, 0, err
	}
	if parts, err = strconv.Atoi(rest); err != nil || parts < 1 || c.Seq == 0 {
		return c, 0, fault.Field(fault.InvalidCursor, "cursor", "%q does not end in the number of a form", s)
	}
	c.Seq-- // that event is sent once more, without the forms it has
	return c, parts, nil
}

// checkWindow says whether the log still holds everything behind a cursor. What
// cannot be told exactly is gone, never guessed.
func (s *Service) checkWindow(ctx context.Context, c event.Cursor) error {
	var state topology.Log
	err := persist(ctx, func() (err error) {
		state, err = s.log.State(ctx)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case c.Epoch != state.Epoch:
		return gone("the cursor belongs to another log")
	case c.Seq > state.Last:
		return gone("the cursor is ahead of the log")
	case c.Seq+1 < state.First:
		return gone("the log no longer holds what followed the cursor")
	}
	return nil
}

func gone(why string) error { return fault.Field(fault.CursorGone, "cursor", "%s", why) }

// resume sends everything behind the cursor and goes over to live without gap or
// duplicate (GW2). The feeds of all wanted tenants have been acquired.
//
//	cursor ──── memory or log, the client's pace ────▶ near the end
//	        ┌── join the hub: live events are held back, P = its position ──┐
//	        └── up to P, from memory, or checked with the leader ── pass on held ─────┘ live
//
// If more came in meanwhile than may be held, that is dropped and read again from
// where it stands: the log has it all. joined says whether the hub knows the
// subscriptions now.
func (s *Service) resume(ctx context.Context, p *replay) (joined bool, err error) {
	if err := s.catchUp(ctx, p); err != nil {
		return false, err
	}
	from, joined := s.hub.subscribeHolding(p.c, p.r.want, p.after)
	for joined {
		if err := s.closeSeam(ctx, p, from); err != nil {
			return true, err
		}
		if err := p.c.settle(ctx); err != nil {
			return true, err
		}
		if p.c.stopHolding() {
			return true, nil
		}
		if err := s.catchUp(ctx, p); err != nil {
			return true, err
		}
		from = s.hub.holdAgain(p.c, p.after)
	}
	return false, errClosed
}

// catchUp sends the bulk of a resumption, with nothing held back yet: until memory
// has no more, or some replica of the log.
func (s *Service) catchUp(ctx context.Context, p *replay) error {
	for {
		found, end, err := s.recall(ctx, p)
		if err != nil || end {
			return err
		}
		if found {
			continue
		}
		msgs, end, err := s.log.page(ctx, p.filter, p.after+1)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if err := p.pass(ctx, m.delivery(), fromLog); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

// recall sends the next events from memory. found is false when it does not reach
// back so far; end is true when it has no more.
func (s *Service) recall(ctx context.Context, p *replay) (found, end bool, err error) {
	ds, upto, found := s.hub.recall(p.tenants, p.after, pageMessages)
	for _, d := range ds {
		if err := p.pass(ctx, d, fromMemory); err != nil {
			return true, false, err
		}
	}
	if found {
		p.after = upto
	}
	return found, found && len(ds) < pageMessages, nil
}

// closeSeam sends everything up to the position from which the hub holds back.
func (s *Service) closeSeam(ctx context.Context, p *replay, from uint64) error {
	for p.after < from {
		found, end, err := s.recall(ctx, p)
		if err != nil {
			return err
		}
		if !found || end {
			break
		}
	}
	// Of several tenants, those that are quiet are known for less.
	err := s.log.through(ctx, p.filter, p.after, from, func(m *logged) error { return p.pass(ctx, m.delivery(), fromLog) })
	p.after = max(p.after, from)
	return err
}

// replay turns events into the items that one connection asked for and missed.
type replay struct {
	c       *connection
	r       resumption
	keys    map[key]bool
	tenants []string // escaped
	filter  string   // of the log: the narrowest that covers the keys
	after   uint64   // everything up to here has been sent
	source  string   // fromLog as soon as that was needed
}

func newReplay(c *connection, r resumption) *replay {
	p := &replay{c: c, r: r, keys: keySet(r.want), after: r.cursor.Seq, source: fromMemory, filter: subject.Events}
	tenants := map[string]bool{}
	for k := range p.keys {
		if !unstored(k.tenant) {
			tenants[k.tenant] = true
		}
	}
	p.tenants = slices.Collect(maps.Keys(tenants))
	if len(p.tenants) == 1 {
		p.filter = subject.TokenEvents(p.tenants[0])
	}
	return p
}

// pass sends one event if it is wanted.
func (p *replay) pass(ctx context.Context, d *delivery, source string) error {
	f := d.wanted(d.tenant, p.keys)
	if d.cursor.Seq == p.r.cursor.Seq+1 {
		f = f.without(p.r.parts)
	}
	if source == fromLog {
		p.source = fromLog
	}
	if f != 0 {
		if err := p.c.push(ctx, d.item(p.c.proto, f)); err != nil {
			return err
		}
		p.c.stats.replayed.WithLabelValues(source).Inc()
	}
	p.after = d.cursor.Seq
	return nil
}

// wanted are the forms of the delivery that a set of keys asks for.
func (d *delivery) wanted(tenant string, keys map[key]bool) (f forms) {
	d.keysOf(tenant, func(k key, form forms) {
		if keys[k] {
			f |= form
		}
	})
	return f
}
