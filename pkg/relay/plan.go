package relay

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// batchRoom is what a batch adds to a message in headers.
const batchRoom = 160

// item is one source message in hand.
type item struct {
	*delivery
	effects Effects
	mapped  bool
	shown   bool // to Ahead
}

// drop takes the effects off: what is to happen once has happened.
func (it *item) drop() { it.effects, it.Known = Effects{}, true }

// plan is one batch to be, and what is acknowledged after it.
type plan struct {
	msgs  []*nats.Msg // without the cursor
	bytes int
	items []*item // in source order; those relayed before come again among them
	part  *item   // the last message, if more of it is to follow
	next  cursor
	once  map[string]*item // by subject
}

// moves says whether the plan needs a batch at all.
func (p *plan) moves(from cursor) bool { return p.next.Seq != from.Seq || p.next.Sub != from.Sub }

// all are its messages, the one in parts as well.
func (p *plan) all() []*item {
	if p.part == nil {
		return p.items
	}
	return append(slices.Clip(p.items), p.part)
}

// fresh are those of items that are not relayed yet.
func (s *session) fresh(items []*item) []*item {
	for i, it := range items {
		if it.At.Seq > s.cur.Seq {
			return items[i:]
		}
	}
	return nil
}

// newPlan has nothing in it. What was relayed before it is settled by now.
func (s *session) newPlan() *plan {
	p := &plan{next: s.cur, once: map[string]*item{}}
	p.next.Settled = s.cur.Seq
	return p
}

// collect makes the next plan: it waits for one message, then takes what is
// there and what comes within Linger, up to a full batch. An empty plan means
// that the cursor has grown old.
func (s *session) collect() (*plan, error) {
	p := s.newPlan()
	var full <-chan time.Time
	for len(p.items) < s.o.MaxBatch {
		it, err := s.take(p, full)
		if err != nil || it == nil {
			return p, err
		}
		if s.o.Linger > 0 && full == nil {
			full = time.After(s.o.Linger)
		}
		if it.At.Seq <= s.cur.Seq {
			p.items = append(p.items, it)
			continue
		}
		if len(p.items) > 0 && !p.moves(s.cur) {
			// What was relayed before is settled before anything is decided that may
			// build on it.
			s.back = append([]*item{it}, s.back...)
			return p, nil
		}
		err = s.ahead(it)
		if err == nil {
			err = s.mapItem(it, p.next.Seq == s.cur.Seq)
		}
		if err != nil {
			s.back = append([]*item{it}, s.back...)
			if len(p.items) > 0 {
				return p, nil // what is before it goes first
			}
			if err := s.failed(it, err); err != nil {
				return nil, err
			}
			p = s.newPlan()
			continue
		}
		if !s.place(p, it) || s.alone {
			return p, nil
		}
	}
	return p, nil
}

// take gives the next message in order; nil when a plan that has something has
// nothing to wait for, or an idle relay's cursor is to be rewritten.
func (s *session) take(p *plan, full <-chan time.Time) (*item, error) {
	if len(s.back) > 0 {
		it := s.back[0]
		s.back = s.back[1:]
		return it, nil
	}
	if len(p.items) > 0 && full == nil {
		select {
		case d := <-s.queue:
			return &item{delivery: d}, context.Cause(s.ctx)
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		default:
			return nil, nil
		}
	}
	var old <-chan time.Time
	if len(p.items) == 0 {
		t := time.NewTimer(time.Until(s.cur.At.Add(s.rewrite)))
		defer t.Stop()
		old = t.C
	}
	select {
	case d := <-s.queue:
		return &item{delivery: d}, context.Cause(s.ctx)
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-full:
	case <-old:
	}
	return nil, nil
}

// ahead shows the owner what is in hand, before the first of it is mapped.
func (s *session) ahead(it *item) error {
	if s.o.Ahead == nil || it.shown || it.mapped {
		return nil
	}
	for more := true; more && len(s.back) < s.o.MaxBatch; {
		select {
		case d := <-s.queue:
			s.back = append(s.back, &item{delivery: d})
		default:
			more = false
		}
	}
	var ms []Message
	var show []*item
	for _, it := range append([]*item{it}, s.back...) {
		if !it.mapped && it.At.Seq > s.cur.Seq {
			ms, show = append(ms, it.Message), append(show, it)
		}
	}
	if err := s.guard(func() error { return s.o.Ahead(s.ctx, ms) }); err != nil {
		return err
	}
	for _, it := range show {
		it.shown = true
	}
	return nil
}

// place adds a message's effects to the plan; false when the plan is full. A
// message that is too much for one batch starts a plan of its own, in parts.
func (s *session) place(p *plan, it *item) bool {
	if o := it.effects.Once; o != nil && p.once[o.Subject] != nil {
		it.drop() // its twin is in this very batch
	}
	from := 0
	if s.cur.Head == it.At.Seq {
		from = s.cur.Sub
	}
	var msgs []*nats.Msg
	if it.effects.Once != nil && from == 0 {
		msgs = append(msgs, it.effects.Once)
	}
	msgs = append(msgs, it.effects.Msgs[min(from, len(it.effects.Msgs)):]...)
	n, bytes := s.fit(p, msgs)
	if n < len(msgs) && len(p.msgs) > 0 {
		s.back = append([]*item{it}, s.back...)
		return false
	}
	p.msgs, p.bytes = append(p.msgs, msgs[:n]...), p.bytes+bytes
	if o := it.effects.Once; o != nil && from == 0 {
		p.once[o.Subject] = it
	}
	if n == len(msgs) {
		p.items = append(p.items, it)
		p.next = advance(p.next, it.At.Seq)
		return true
	}
	p.part = it
	p.next.Head, p.next.Of, p.next.Starts = it.At.Seq, len(it.effects.Msgs), 0
	p.next.Sub = len(it.effects.Msgs) - (len(msgs) - n)
	return false
}

// fit is how many of msgs the plan still takes; the first one always.
func (s *session) fit(p *plan, msgs []*nats.Msg) (n, bytes int) {
	for _, m := range msgs {
		size := m.Size()
		first := len(p.msgs) == 0 && n == 0
		if len(p.msgs)+n == s.o.MaxBatch-1 || !first && p.bytes+bytes+size > s.o.MaxBatchBytes {
			break
		}
		n, bytes = n+1, bytes+size
	}
	return n, bytes
}

// advance is c after the message at seq is relayed whole.
func advance(c cursor, seq uint64) cursor {
	return cursor{Epoch: c.Epoch, Seq: seq, Settled: c.Settled}
}
