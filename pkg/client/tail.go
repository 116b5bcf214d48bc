package client

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// TailOptions say what to read, and from where. The zero value is everything
// from now on.
type TailOptions struct {
	// After is the last event already seen; what follows it comes.
	After event.Cursor
	// FromStart begins with the oldest event kept. Not together with After.
	FromStart bool
	// Tenants, Topics and Verbs narrow; empty means all. Topics and verbs are
	// compared ignoring case. One tenant is filtered by the server.
	Tenants, Topics, Verbs []string
}

// Item is one event and where the log keeps it.
type Item struct {
	Cursor event.Cursor
	Event  event.Event
}

// Tail yields the events that follow a position, in the log's order, each once,
// and then goes on as they are published, through reconnects and elections,
// until ctx ends or the loop is left. An error is the last thing yielded: ctx's,
// or a fault (cursor_gone when the log no longer holds what follows the
// position or is another log; invalid_name, invalid_request for options;
// unavailable when the client is closed).
//
// The memory it takes is bounded: when the loop is slower than the publishers,
// events wait in the log.
func (c *Client) Tail(ctx context.Context, o TailOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		t := &tail{c: c, yield: yield}
		err := t.open(ctx, o)
		defer t.close()
		if err == nil {
			err = t.run(ctx)
		}
		switch {
		case t.left:
		case ctx.Err() != nil:
			yield(Item{}, context.Cause(ctx))
		case err != nil:
			yield(Item{}, err)
		}
	}
}

// The delays between two looks at the leader's last position: soon after the
// start and after a reconnect, when a replica may still lag, then now and then.
var lookDelays = []time.Duration{
	10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
}

const (
	pageEvents = 512     // events asked for at once
	pageBytes  = 1 << 20 // and their bytes

	lagShort = 2 * time.Millisecond   // first wait for a replica that lags
	lagLong  = 250 * time.Millisecond // and the longest

	// settleAfter is more than a replica that serves reads is ever behind: what
	// the leader had that long ago, a page shows.
	settleAfter = 4 * time.Second
)

// tail is one running Tail.
//
//	live feed ──▶ next in sequence? ──yes──▶ yield
//	                   │ no: something lies between (another tenant's event,
//	                   ▼     a control record, or one that the feed lost)
//	              pages of the log from the position on, up to that event ──▶ yield
//
// The log is the truth and the feed is only the fastest way to learn of its next
// event. So nothing depends on the feed being complete: an election loses
// republished messages without any sign (seen in nats-server's source: only the
// leader republishes), and per-subject sequences would not show it.
type tail struct {
	c     *Client
	yield func(Item, error) bool
	left  bool // the loop was left

	filter  string // subject of the pages; "" = the whole log
	wanted  wanted
	feed    feed
	status  chan nats.Status
	epoch   string
	at      uint64 // everything wanted up to here has been yielded
	audited uint64 // at, when First was last compared
	looks   int    // looks since the start or the last reconnect

	// The leader's last position some time ago, see settleAfter.
	settling   uint64
	settlingAt time.Time
}

// open subscribes to the feed first and then reads the log's state: an event
// published between the two is in both.
func (t *tail) open(ctx context.Context, o TailOptions) error {
	if o.FromStart && !o.After.IsZero() {
		return fault.Field(fault.InvalidRequest, "FromStart", "cannot be combined with After")
	}
	t.wanted = wantedOf(o)
	live := []string{subject.LiveEvents}
	if len(o.Tenants) > 0 {
		live = live[:0]
		for _, tenant := range o.Tenants {
			s, err := subject.TenantLive(tenant)
			if err != nil {
				return err
			}
			live = append(live, s)
		}
		if len(o.Tenants) == 1 {
			t.filter, _ = subject.TenantEvents(o.Tenants[0]) // the same check as just now
		}
	}
	if err := t.feed.open(t.c.nc, live); err != nil {
		return unavailable(err)
	}
	t.status = t.c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	s, err := t.c.reader.State(ctx)
	if err != nil {
		return err
	}
	switch {
	case o.FromStart:
		t.at = s.First - 1
	case o.After.IsZero():
		t.at = s.Last
	default:
		t.at = o.After.Seq
	}
	t.epoch, t.audited = s.Epoch, t.at
	if !o.After.IsZero() && o.After.Epoch != s.Epoch {
		return goneEpoch()
	}
	return t.audit(s)
}

func (t *tail) close() {
	t.feed.close()
	if t.status != nil {
		t.c.nc.RemoveStatusListener(t.status)
	}
}

// run yields until the loop is left (nil) or something ends it.
func (t *tail) run(ctx context.Context) error {
	if err := t.read(ctx, 0); err != nil || t.left {
		return err
	}
	look := time.NewTimer(lookDelays[0])
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-t.status:
			if s == nats.CLOSED {
				return errClosed()
			}
			t.looks = 0
			look.Reset(0)
		case <-t.feed.more:
			err = t.follow(ctx)
		case <-look.C:
			err = t.look(ctx)
			look.Reset(lookDelays[min(t.looks, len(lookDelays)-1)])
			t.looks++
		}
		if err != nil || t.left {
			return err
		}
	}
}

// follow yields what the feed brought, and reads the log where it has a hole.
func (t *tail) follow(ctx context.Context) error {
	batch, head := t.feed.take()
	for _, m := range batch {
		switch {
		case m.seq <= t.at:
		case m.seq == t.at+1:
			at := event.StoredOf(m.msg.Header, t.epoch)
			t.pass(strings.TrimPrefix(m.msg.Subject, subject.LivePrefix), m.msg.Header, m.msg.Data, at)
		default:
			if err := t.read(ctx, head); err != nil {
				return err
			}
		}
		if t.left {
			return nil
		}
	}
	if head > t.at { // the feed's buffer overflowed
		return t.read(ctx, head)
	}
	return nil
}

// read yields pages of the log until its end, and until target: an event that is
// there for certain, so that a page which ends before it came from a replica
// that lags.
func (t *tail) read(ctx context.Context, target uint64) error {
	wait := lagShort
	for {
		msgs, end, err := t.c.reader.Page(ctx, t.filter, t.at+1, pageEvents, pageBytes)
		switch {
		case err != nil && (t.c.nc.IsClosed() || ctx.Err() != nil || !retryable(err)):
			return err
		case err == nil:
			if t.passAll(msgs); t.left {
				return nil
			}
			if end && t.at >= target {
				return nil
			}
			if len(msgs) > 0 {
				wait = lagShort
				continue
			}
		}
		if wait == lagLong { // perhaps it will never come: is it still the same log?
			if s, err := t.c.reader.State(ctx); err == nil {
				if err := t.audit(s); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, lagLong)
	}
}

func (t *tail) passAll(msgs []eventlog.Message) {
	for i := range msgs {
		m := &msgs[i]
		t.pass(m.Subject, m.Header, m.Data, event.Stored{Cursor: event.Cursor{Epoch: t.epoch, Seq: m.Seq}, Time: m.Time})
		if t.left {
			return
		}
	}
}

// pass moves the position and yields the event if it is wanted.
func (t *tail) pass(subj string, h nats.Header, data []byte, at event.Stored) {
	t.at = at.Cursor.Seq
	if t.wanted.match(subj) {
		t.left = !t.yield(Item{at.Cursor, event.Decode(subj, h, data, at)}, nil)
	}
}
