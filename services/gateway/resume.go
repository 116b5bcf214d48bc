package gateway

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
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
	state, err := s.log.State(ctx)
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
//	cursor ──── pages, the client's pace ────▶ near the end
//	        ┌── join the hub: live events are held back, P = its position ──┐
//	        └── pages up to P, checked with the leader ── pass on held ─────┘ live
//
// If more came in meanwhile than may be held, that is dropped and the log is read
// again from where it stands: the log has it all. joined says whether the hub
// knows the subscriptions now.
func (s *Service) resume(ctx context.Context, c *connection, r resumption) (joined bool, err error) {
	replay := &replay{c: c, r: r, keys: map[key]bool{}, epoch: r.cursor.Epoch, after: r.cursor.Seq}
	filter := replay.index()
	if err := s.readToEnd(ctx, replay, filter); err != nil {
		return false, err
	}
	from, joined := s.hub.subscribeHolding(c, r.want, replay.after)
	for joined {
		err := s.log.through(ctx, filter, replay.after, from, func(m eventlog.Message) error { return replay.pass(ctx, m) })
		if err != nil {
			return true, err
		}
		replay.after = max(replay.after, from)
		if err := c.settle(ctx); err != nil {
			return true, err
		}
		if c.stopHolding() {
			return true, nil
		}
		if err := s.readToEnd(ctx, replay, filter); err != nil {
			return true, err
		}
		from = s.hub.holdAgain(c, replay.after)
	}
	return false, errClosed
}

// readToEnd passes pages until some replica has no more: the bulk of a
// resumption, with nothing held back yet.
func (s *Service) readToEnd(ctx context.Context, p *replay, filter string) error {
	for {
		msgs, end, err := s.log.page(ctx, filter, p.after+1)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if err := p.pass(ctx, m); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

// replay turns messages of the log into the items one connection asked for.
type replay struct {
	c     *connection
	r     resumption
	keys  map[key]bool
	epoch string
	after uint64 // everything up to here has been sent
}

// index collects the wanted keys and answers the narrowest filter of the log that
// covers them: one tenant's events, or all.
func (p *replay) index() string {
	tenants := map[string]bool{}
	for _, keys := range p.r.want {
		for _, k := range keys {
			p.keys[k], tenants[k.tenant] = true, true
		}
	}
	if len(tenants) == 1 {
		return subject.TokenEvents(slices.Collect(maps.Keys(tenants))[0])
	}
	return subject.Events
}

// pass sends one message of the log if it is wanted.
func (p *replay) pass(ctx context.Context, m eventlog.Message) error {
	cursor := event.Cursor{Epoch: p.epoch, Seq: m.Seq}
	ev := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: cursor, Time: m.Time})
	d := newDelivery(&ev, cursor, trace.SpanContext{})
	f := d.wanted(subject.TenantToken(m.Subject), p.keys)
	if m.Seq == p.r.cursor.Seq+1 {
		f = f.without(p.r.parts)
	}
	if f != 0 {
		if err := p.c.push(ctx, d.item(p.c.proto, f)); err != nil {
			return err
		}
	}
	p.after = m.Seq
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
