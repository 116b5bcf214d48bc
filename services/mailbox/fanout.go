package mailbox

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Headers of a copy.
const (
	headerTenant  = "Belfry-Tenant"         // of the event, which is the data
	headerForm    = "ce-specversion"        // the event is in headers and data, as in EVENTS
	headerSubject = "Belfry-Subject"        // then: where it was published
	headerLimit   = "Belfry-Max-Deliveries" // of a subscription that has such a limit
	headerTrace   = "traceparent"
)

// fanout is the relay EVENTS → MAILBOX: an event becomes one copy for each mailbox
// that takes it, a record of a subscriber becomes its document in the table. Its
// methods but janitor's are called by one goroutine.
type fanout struct {
	s       *Service
	copies  calls // MAILBOX
	table   *table
	topics  map[place]bool    // known to the catalogue
	notices map[uint64][]byte // by position: whom AfterCommit tells

	mu    sync.Mutex
	ended []*subscription // whose copies are to be deleted
	work  chan struct{}
}

func newFanout(s *Service) *fanout {
	return &fanout{s: s, copies: s.copies, table: newTable(), topics: map[place]bool{}, notices: map[uint64][]byte{}, work: make(chan struct{}, 1)}
}

func (f *fanout) options(o Options) relay.Options {
	return relay.Options{
		Name: relayName, Bus: o.Env.Bus, Registry: o.Env.Registry, Log: o.Env.Log,
		// No filter: of the log nearly all is events, and to look for the next of
		// several patterns costs the server a walk over all subjects of a block:
		// with 10,000 topics, a sixth of the speed.
		Source: topology.Events,
		Target: Stream, Cursor: subject.MailboxCursor,
		Open: f.open, Map: f.effects, AfterCommit: f.committed,
	}
}

// open reads the table anew: another worker may have changed it. The cursor lies in one
// batch with what changes the table: who has it as far as the relay is has all of it, and
// one that was the leader, and does not know yet that it is not, is asked again.
func (f *fanout) open(ctx context.Context, last event.Cursor) error {
	began := time.Now()
	cursor, there, err := f.copies.Last(ctx, subject.MailboxCursor)
	if err != nil {
		return fmt.Errorf("read the table's end: %w", err)
	}
	var at event.Cursor
	if there {
		if at, err = relay.Told(cursor.Data); err != nil {
			return err
		}
	}
	if !there || at.Seq < last.Seq {
		return stream.Behind(Stream)
	}
	t := newTable()
	var ended []*subscription
	err = f.copies.pages(ctx, f.s.nc, subject.MailboxTable, cursor.Seq, func(m message) error {
		s, over, err := readSubscription(m)
		switch {
		case err != nil:
			return fmt.Errorf("read subscription %s: %w", m.Subject, err)
		case s == nil:
		case over:
			ended = append(ended, s)
		default:
			t.add(s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A topic is registered before the cursor passes it, so what is known here only
	// saves asking again.
	f.table, f.topics, f.notices = t, map[place]bool{}, map[uint64][]byte{}
	f.discard(ended)
	f.s.stats.subscriptions.Set(float64(t.living))
	f.s.log.InfoContext(ctx, "table of subscriptions read", telemetry.KeyCount, t.living, telemetry.KeyDuration, time.Since(began))
	return nil
}

// effects is the relay's Map.
func (f *fanout) effects(ctx context.Context, m relay.Message) (relay.Effects, error) {
	if subscriber, ok := subject.ParseMailboxRecord(m.Subject); ok {
		return f.decided(subscriber, m)
	}
	a, ok := subject.ParseEvent(m.Subject)
	if !ok {
		return relay.Effects{}, nil
	}
	p := place{a.Tenant, subject.Fold(a.Topic)}
	if !f.topics[p] {
		if err := f.s.registerTopic(ctx, a.Tenant, spelling(m, a)); err != nil {
			return relay.Effects{}, err
		}
		f.topics[p] = true
	}
	return relay.Effects{Msgs: f.fanOut(m, p, subject.Fold(a.Verb))}, nil
}

// spelling is the topic's name as the event has it: an address is in lower case.
func spelling(m relay.Message, a subject.Address) string {
	e := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored})
	if subject.Fold(e.Topic) != subject.Fold(a.Topic) {
		return a.Topic
	}
	return e.Topic
}

// decided is what follows from a record.
func (f *fanout) decided(subscriber string, m relay.Message) (relay.Effects, error) {
	r, err := parseRecord(m.Data)
	if err != nil {
		return relay.Effects{}, err
	}
	msgs, err := f.table.apply(subscriber, m.At, r)
	return relay.Effects{Msgs: msgs}, err
}

// fanOut is an event's copies, which share the body.
func (f *fanout) fanOut(m relay.Message, p place, verb string) []*nats.Msg {
	all := f.table.of(p)
	if len(all) == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, 0, len(all))
	notice := make([]byte, 0, len(all)*idLength)
	var header nats.Header
	var body []byte
	for _, s := range all {
		if !s.takes(verb) {
			continue
		}
		if body == nil {
			header, body = f.s.form(m)
		}
		c := &nats.Msg{Subject: s.copies, Header: limited(header, s.MaxDeliveries), Data: body}
		msgs, notice = append(msgs, c), append(notice, s.subscriber...)
	}
	if len(msgs) > 0 {
		f.notices[m.At.Seq] = notice
		f.s.stats.copied.WithLabelValues(f.s.stats.tenants.of(p.tenant)).Add(float64(len(msgs)))
	}
	return msgs
}

// form is an event as a copy has it: CloudEvents JSON, so that Receive has nothing
// to do but pass it on; where that is too large, in headers and data.
func (s *Service) form(m relay.Message) (nats.Header, []byte) {
	e := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored})
	body := e.AppendJSON(make([]byte, 0, len(m.Data)+512))
	header := nats.Header{}
	if len(body) > s.maxCopy {
		header, body = e.Header(), e.Data
		header[headerSubject] = []string{m.Subject}
	}
	header[headerTenant] = []string{e.Tenant}
	if t := m.Header.Get(headerTrace); t != "" {
		header[headerTrace] = []string{t}
	}
	return header, body
}

// committed is the relay's AfterCommit: those who wait are told.
func (f *fanout) committed(_ context.Context, m relay.Message) error {
	if notice, ok := f.notices[m.At.Seq]; ok {
		delete(f.notices, m.At.Seq)
		f.s.notify(notice)
	}
	subscriber, ok := subject.ParseMailboxRecord(m.Subject)
	if !ok {
		return nil
	}
	f.s.stats.subscriptions.Set(float64(f.table.living))
	f.discard(f.table.past(subscriber, m.At.Seq))
	return nil
}

// discard hands mailboxes that have ended to the janitor.
func (f *fanout) discard(ended []*subscription) {
	if len(ended) > 0 {
		f.queue(ended)
		wake(f.work)
	}
}

func (f *fanout) queue(ended []*subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, ended...)
}

// janitor deletes what is left of mailboxes that have ended, until ctx does. What
// fails is tried again after a while.
func (f *fanout) janitor(ctx context.Context) {
	const again = 10 * time.Second
	for {
		f.mu.Lock()
		ended := f.ended
		f.ended = nil
		f.mu.Unlock()
		var retry <-chan time.Time
		for i, s := range ended {
			if err := f.s.deleteMailbox(ctx, s.subscriber, s.id); err != nil {
				f.s.log.WarnContext(ctx, "ended mailbox not deleted yet", telemetry.Err(err))
				f.queue(ended[i:])
				retry = time.After(again)
				break
			}
		}
		select {
		case <-f.work:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

// deleteMailbox deletes everything of an ended mailbox. It may be repeated: the
// empty document, which says that there is something left, goes last.
func (s *Service) deleteMailbox(ctx context.Context, subscriber, id string) error {
	for _, subj := range []string{
		subject.MailboxCopy(subscriber, id), subject.MailboxDead(subscriber, id, every), subject.MailboxEntry(subscriber, id),
	} {
		if err := s.copies.Purge(ctx, subj, 0); err != nil {
			return err
		}
	}
	return nil
}

// limited is a header with a subscription's limit of deliveries, if it has one.
func limited(h nats.Header, limit int) nats.Header {
	if limit == 0 {
		return h
	}
	l := make(nats.Header, len(h)+1)
	maps.Copy(l, h)
	l[headerLimit] = []string{strconv.Itoa(limit)}
	return l
}
