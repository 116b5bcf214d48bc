package mailbox

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// Seconds that a lock may last, and lasts unless the caller says.
const (
	defaultLock = 60
	maxLock     = 12 * 60 * 60
)

// Receive implements the contract.
func (s *Service) Receive(ctx context.Context, r *mailboxv1.ReceiveRequest) (*mailboxv1.ReceiveResponse, error) {
	id := r.GetSubscriberId()
	if _, err := admit(ctx, id); err != nil {
		return nil, err
	}
	lasts, err := seconds("lockTimeout", r.LockTimeout != nil, r.GetLockTimeout(), defaultLock, 1, maxLock)
	if err != nil {
		return nil, err
	}
	answer := &mailboxv1.ReceiveResponse{}
	err = s.change(ctx, id, func(t *desk, st *state) error {
		if err := living(st); err != nil {
			return err
		}
		if err := s.mayLock(st); err != nil {
			return err
		}
		if err := s.bury(ctx, st); err != nil {
			return err
		}
		m, first, err := s.pick(ctx, t, id, st, r.GetMessageId())
		if err != nil {
			return err
		}
		answer.Reset()
		if m == nil {
			return s.nothing(t)
		}
		return s.lockOne(ctx, st, m, first, lasts, answer)
	})
	return answer, s.tell(err)
}

// mayLock refuses more locks than a subscriber may have.
func (s *Service) mayLock(st *state) error {
	if n := st.locks(time.Now()); n >= s.config.MaxLocks {
		return fault.New(fault.TooManyLocks, "%d messages are received and not confirmed; that is the maximum", n)
	}
	return nil
}

// maxNoted bounds what the document remembers of single messages, about 50 bytes
// each: those that are received, or were and are given back, and those that are
// confirmed behind one that nobody has received.
const maxNoted = 4096

// mayNote refuses to receive one message more when the document is full. What it
// remembers already may be received again, and so may the first message of all:
// from there it becomes shorter.
func (s *Service) mayNote(st *state, seq uint64, first bool) error {
	n, most := len(st.Held), max(maxNoted, s.config.MaxLocks)
	if !first {
		n += len(st.Ahead)
	}
	if _, again := st.find(seq); again || n < most {
		return nil
	}
	return fault.New(fault.TooManyLocks, "%d messages are given back or were passed over; confirm the first ones", n)
}

// nothing ends a change that found nothing to receive: it was a poll nevertheless
// (MB6).
func (s *Service) nothing(t *desk) error {
	if s.pollDue(t.written) {
		return nil
	}
	return errUnchanged
}

// tell counts what callers lost to each other, and answers err.
func (s *Service) tell(err error) error {
	if c := fault.CodeOf(err); c == fault.MessageLocked || c == fault.LockLost {
		s.stats.refused.Inc()
	}
	return err
}

// lockOne locks a message and writes what its receiver is told. A token that may not
// act for the message's tenant any more does not get it.
func (s *Service) lockOne(ctx context.Context, st *state, m *message, first bool, lasts time.Duration, answer *mailboxv1.ReceiveResponse) error {
	if err := api.PrincipalOf(ctx).Decide(auth.Request{Action: auth.Mailbox, Tenant: m.Header.Get(headerTenant)}); err != nil {
		return err
	}
	if err := s.mayNote(st, m.Seq, first); err != nil {
		return err
	}
	limit, _ := strconv.Atoi(m.Header.Get(headerLimit)) // most have none
	lock, until := newLock(), time.Now().Add(lasts)
	h := st.lock(held{Seq: m.Seq, Lock: lock, Until: until.UnixMilli(), Limit: limit, Tenant: m.Header.Get(headerTenant)})
	if first {
		st.raise(m.Seq)
	}
	lockText, messageText, deliveries := lockID(lock), s.messageID(m.Seq), int32(h.Deliveries)
	answer.LockId, answer.MessageId, answer.DeliveryCount = &lockText, &messageText, &deliveries
	answer.LockedUntil, answer.Message = timestamppb.New(until), &eventv1.Event{Json: body(m)}
	s.stats.received.WithLabelValues(s.stats.tenants.of(h.Tenant)).Inc()
	return nil
}

// pick finds the message to receive, the one that is asked for or the first free
// one, nil if there is none. first says that none before it is free, so High rises
// to it when it is locked, and not before: what lies below High and is not held is
// confirmed.
func (s *Service) pick(ctx context.Context, t *desk, id string, st *state, asked string) (m *message, first bool, err error) {
	if asked != "" {
		return s.pickAsked(ctx, t, id, st, asked)
	}
	v, err := s.survey(ctx, t, id, st, nil)
	return v.free, true, err
}

// pickAsked finds the message that is asked for.
func (s *Service) pickAsked(ctx context.Context, t *desk, id string, st *state, asked string) (m *message, first bool, err error) {
	seq, now, filter := s.sequence(asked), time.Now(), subject.MailboxCopy(id, every)
	if seq == 0 {
		return nil, false, unknownMessage()
	}
	switch st.standing(seq, now) {
	case gone:
		return nil, false, unknownMessage()
	case locked:
		return nil, false, fault.Field(fault.MessageLocked, "messageId", "is locked; it is offered again if it is not confirmed")
	case free:
	}
	if m := t.recall(seq); m != nil {
		return m, true, nil
	}
	from := seq
	if _, before := st.find(seq); !before {
		from = st.High + 1 // if this is the first one there, High can rise
	}
	for {
		l, err := s.look(ctx, filter, from)
		switch {
		case err != nil:
			return nil, false, err
		case l.ok && l.m.Seq == seq:
			return &l.m, from > st.High, nil
		case !l.ok || l.m.Seq > seq:
			m, err = s.pickFromLeader(ctx, id, st, seq)
			return m, false, err
		case st.standing(l.m.Seq, now) == free:
			m, err = s.pickFromLeader(ctx, id, st, seq) // one before it is not received yet
			return m, false, err
		}
		from = l.m.Seq + 1
	}
}

// pickFromLeader is the last word on whether there is such a message: a replica
// may not have it yet.
func (s *Service) pickFromLeader(ctx context.Context, id string, st *state, seq uint64) (*message, error) {
	m, there, err := s.copies.At(ctx, seq)
	if err != nil {
		return nil, err
	}
	if owner, _, ok := subject.ParseMailbox(m.Subject); !there || !ok || owner != id || !subject.Match(subject.MailboxCopy(id, every), m.Subject) {
		st.drop(seq)
		return nil, unknownMessage()
	}
	return &m, nil
}

func unknownMessage() error {
	return fault.Field(fault.MessageUnknown, "messageId", "no such message waits for this subscriber")
}

// body is the event of a copy as CloudEvents JSON. The relay stores it so, except
// where that is too large for a message: then as attributes in headers.
func body(m *message) []byte {
	if m.Header.Get(headerForm) == "" {
		return m.Data
	}
	e := event.Decode(m.Header.Get(headerSubject), m.Header, m.Data, event.Stored{Time: m.Time})
	return e.AppendJSON(nil)
}
