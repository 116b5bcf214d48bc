package mailbox

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// Seconds a Peek may wait (ITAS: "the default period is 90 seconds and this
// cannot be exceeded").
const maxWait = 90

// Peek implements the contract.
func (s *Service) Peek(ctx context.Context, r *mailboxv1.PeekRequest) (*mailboxv1.PeekResponse, error) {
	id := r.GetSubscriberId()
	if _, err := admit(ctx, id); err != nil {
		return nil, err
	}
	wait, err := seconds("timeout", r.Timeout != nil, r.GetTimeout(), maxWait, 0, maxWait)
	if err != nil {
		return nil, err
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	woken, leave := s.room.enter(id) // before the first look, so that no notice is missed
	defer leave()
	v, err := s.peek(ctx, id)
	if err != nil {
		return nil, err
	}
	parked := v.free == nil && wait > 0
	for v.free == nil && wait > 0 {
		again, err := s.park(ctx, woken, end, v.opens)
		if err != nil {
			return nil, err
		}
		if !again {
			break
		}
		switch now, err := s.peekAgain(ctx, id); {
		case err == nil:
			v = now
		case fault.CodeOf(err).Kind() != fault.Down:
			return nil, err
		}
		// Down: a leader is being elected. The poller loses nothing by waiting on.
	}
	answer := &mailboxv1.PeekResponse{MessageCount: int32(v.count), TimedOut: v.free == nil}
	if v.free != nil {
		next := s.messageID(v.free.Seq)
		answer.NextMessageId = &next
		if parked {
			s.stats.wake.Observe(time.Since(v.free.Time).Seconds())
		}
	}
	return answer, nil
}

// park waits until there is a reason to look again; false when the time is up, or
// the process stops: the caller peeks again, at another replica.
func (s *Service) park(ctx context.Context, woken <-chan struct{}, end *time.Timer, opens time.Time) (bool, error) {
	s.stats.parked.Inc()
	defer s.stats.parked.Dec()
	// Each at a time of its own, so that thousands do not look at once.
	next := s.config.LookEvery*3/4 + rand.N(s.config.LookEvery/2)
	if !opens.IsZero() {
		next = min(next, max(time.Until(opens), time.Millisecond))
	}
	look := time.NewTimer(next)
	defer look.Stop()
	select {
	case <-woken:
	case <-look.C:
	case <-end.C:
		return false, nil
	case <-s.leaving:
		return false, nil
	case <-ctx.Done():
		if fault.CodeOf(context.Cause(ctx)) == fault.Draining {
			return false, nil
		}
		return false, ctx.Err()
	}
	return true, nil
}

// peek reads the document, and then the first copy: what is named is known to have
// been there under the revision that was read.
func (s *Service) peek(ctx context.Context, id string) (view, error) {
	st, rev, written, err := s.load(ctx, id)
	if err != nil {
		return view{}, err
	}
	if err := allowed(ctx, st); err != nil {
		return view{}, err
	}
	if err := living(st); err != nil {
		return view{}, err
	}
	if err := s.polled(ctx, id, st, written); err != nil {
		return view{}, err
	}
	if len(st.spent(time.Now())) > 0 {
		if err := s.change(ctx, id, func(_ *desk, st *state) error { return s.bury(ctx, st) }); err != nil {
			return view{}, err
		}
	}
	looked := time.Now()
	head, err := s.look(ctx, subject.MailboxCopy(id, every), 1)
	if err != nil {
		return view{}, err
	}
	if !head.ok {
		return view{opens: st.opens(time.Now())}, nil
	}
	// At the desk it is known what is deleted, and there the next call finds what this
	// one has read.
	t, err := s.desks.take(ctx, id)
	if err != nil {
		return view{}, err
	}
	defer s.desks.give(t)
	v, err := s.survey(ctx, t, id, t.learn(st, rev, written).clone(), head)
	if err == nil && t.rev == rev {
		t.name(v.free, looked)
	}
	return v, err
}

// peekAgain looks at the copies first: where there are none, nothing else counts.
func (s *Service) peekAgain(ctx context.Context, id string) (view, error) {
	head, err := s.look(ctx, subject.MailboxCopy(id, every), 1)
	if err != nil || !head.ok {
		return view{}, err
	}
	return s.peek(ctx, id)
}

// refreshPoll is how old a document may be before a poll that changes nothing
// writes it anew, so that it counts.
const refreshPoll = time.Hour

func (s *Service) pollDue(written time.Time) bool {
	return time.Since(written) >= min(refreshPoll, s.config.ExpireAfter/24)
}

// polled notes that a subscriber polls: the age of its document is how long it has
// been silent, to within an hour.
func (s *Service) polled(ctx context.Context, id string, st *state, written time.Time) error {
	if !st.Live || !s.pollDue(written) {
		return nil
	}
	return s.change(ctx, id, func(_ *desk, st *state) error { return living(st) })
}
