package mailbox

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

const (
	replayCopies = 500     // of one call
	replayReads  = 20_000  // events looked at by one call
	replayBytes  = 4 << 20 // of one call
)

// Replay implements the contract.
func (s *Service) Replay(ctx context.Context, r *mailboxv1.ReplayRequest) (*mailboxv1.ReplayResponse, error) {
	id := r.GetSubscriberId()
	p, err := admit(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := placeOf(ctx, p, r.GetCompCode(), r.GetTopic())
	if err != nil {
		return nil, err
	}
	// Else a mailbox would be a way around it: what is replayed was never subscribed to.
	if err := p.Decide(auth.Request{Action: auth.Subscribe, Tenant: at.tenant, Topic: at.topic}); err != nil {
		return nil, err
	}
	if _, _, err := s.subscriber(ctx, id); err != nil {
		return nil, err
	}
	all, err := s.subscriptions(ctx, id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(o *subscription) bool { return o.place() == at })
	if i < 0 {
		return nil, fault.Field(fault.SubscriptionUnknown, "topic", "there is no mailbox for %q of %s", r.GetTopic(), at.tenant)
	}
	if err := s.mayAdd(ctx, id); err != nil {
		return nil, err
	}
	part, err := s.stretchOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.replay(ctx, all[i], at, part)
}

// stretch is the part of the log that is still to be replayed: behind from, up to
// end, which is where the relay was when the replay began: what is behind it
// comes by itself.
type stretch struct{ from, end event.Cursor }

const stretchSep = "_"

func (t stretch) String() string { return t.from.String() + stretchSep + t.end.String() }

// stretchOf reads a request's since or after.
func (s *Service) stretchOf(ctx context.Context, r *mailboxv1.ReplayRequest) (t stretch, err error) {
	log, err := s.reader.State(ctx)
	if err != nil {
		return t, err
	}
	switch {
	case (r.GetSince() == nil) == (r.GetAfter() == ""):
		return t, fault.Field(fault.InvalidRequest, "since", "send either since or after")
	case r.GetSince() != nil:
		if err := r.GetSince().CheckValid(); err != nil {
			return t, fault.Field(fault.InvalidRequest, "since", "is not a time")
		}
		first, err := s.since(ctx, r.GetSince().AsTime())
		if err != nil {
			return t, err
		}
		t.from = event.Cursor{Epoch: log.Epoch, Seq: max(first, 1) - 1}
	default:
		from, end, two := strings.Cut(r.GetAfter(), stretchSep)
		if t.from, err = event.ParseCursor(from); err != nil {
			return t, fault.Field(fault.InvalidCursor, "after", "is not the cursor of a replay")
		}
		if t.end, err = event.ParseCursor(end); two && err != nil {
			return t, fault.Field(fault.InvalidCursor, "after", "is not the cursor of a replay")
		}
	}
	if t.end.IsZero() {
		if t.end, err = s.relay.Position(ctx); err != nil {
			return t, err
		}
	}
	if t.from.Epoch != log.Epoch || t.from.Seq > log.Last || t.from.Seq+1 < log.First && r.GetAfter() != "" {
		return t, fault.Field(fault.CursorGone, "after", "the log no longer holds what follows")
	}
	return t, nil
}

// since is the position of the first message stored at or after a time; behind the
// last one if there is none.
func (s *Service) since(ctx context.Context, t time.Time) (uint64, error) {
	m, there, err := s.events.FirstSince(ctx, ">", t)
	if err != nil || there {
		return m.Seq, err
	}
	log, err := s.reader.State(ctx)
	return log.Last + 1, err
}

// replay copies the next matching events of a stretch into a mailbox, as one batch.
func (s *Service) replay(ctx context.Context, o *subscription, at place, t stretch) (*mailboxv1.ReplayResponse, error) {
	filter, err := subject.TenantEvents(at.tenant)
	if err != nil {
		return nil, err
	}
	var copies []*nats.Msg
	var bytes, read int
	full := func() bool { return len(copies) == replayCopies || bytes >= replayBytes || read >= replayReads }
	for t.from.Seq < t.end.Seq && !full() {
		page, end, err := s.reader.Page(ctx, filter, t.from.Seq+1, pageMessages, replayBytes)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if m.Seq > t.end.Seq || full() {
				break
			}
			t.from.Seq = m.Seq
			read++
			if c := s.again(o, at, m); c != nil {
				copies, bytes = append(copies, c), bytes+len(c.Data)
			}
		}
		if end && !full() || len(page) > 0 && page[len(page)-1].Seq > t.end.Seq {
			t.from.Seq = max(t.from.Seq, t.end.Seq)
		}
	}
	if len(copies) > 0 {
		if _, err := s.bus.PublishBatch(ctx, copies); err != nil {
			return nil, err
		}
		s.notify([]byte(o.subscriber))
	}
	return &mailboxv1.ReplayResponse{MessageCount: int32(len(copies)), Cursor: t.String(), More: t.from.Seq < t.end.Seq}, nil
}

// again is the copy of an event of the log for a mailbox, nil if it does not take
// it.
func (s *Service) again(o *subscription, at place, m eventlog.Message) *nats.Msg {
	a, ok := subject.ParseEvent(m.Subject)
	if !ok || a.Tenant != at.tenant || subject.Fold(a.Topic) != at.topic || !o.takes(subject.Fold(a.Verb)) {
		return nil
	}
	header, body := s.form(relay.Message{Subject: m.Subject, Header: m.Header, Data: m.Data, At: event.Cursor{Epoch: s.logEpoch, Seq: m.Seq}, Stored: m.Time})
	return &nats.Msg{Subject: o.copies, Header: limited(header, o.MaxDeliveries), Data: body}
}
