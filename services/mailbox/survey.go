package mailbox

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// view is what one look into the mailboxes of a subscriber shows.
type view struct {
	count int       // messages that are not confirmed
	free  *message  // the first that nobody has locked; nil if there is none
	opens time.Time // when one that is locked now is offered again; zero = none is
}

const (
	every = "*" // all mailboxes of a subscriber, where a subscription's id stands

	// staleLooks is how often a look is repeated because a replica still shows
	// what is gone. It is behind for a few milliseconds.
	staleLooks = 5
	staleWait  = 2 * time.Millisecond
)

// survey looks for the first free message. head, if not nil, is what a look from
// the beginning has just shown. Usually that is all there is to ask: the first
// copy is free, and the answer has the count in it.
func (s *Service) survey(ctx context.Context, t *desk, id string, st *state, head *look) (v view, err error) {
	filter, now := subject.MailboxCopy(id, every), time.Now()
	v.opens = st.opens(now)
	for tries := 0; ; tries++ {
		if head == nil {
			if head, err = s.look(ctx, filter, 1); err != nil || !head.ok {
				return v, err
			}
		} else if !head.ok {
			return v, nil
		}
		again := s.clean(ctx, t, st, head)
		if !again && (st.standing(head.m.Seq, now) != gone || tries == staleLooks) {
			break
		}
		if tries > 0 {
			if err := sleep(ctx, time.Duration(tries)*staleWait); err != nil {
				return v, err
			}
		}
		head = nil
	}
	v.count = head.behind + 1
	if st.standing(head.m.Seq, now) == free {
		v.free = &head.m
		return v, nil
	}
	v.free, err = s.firstFree(ctx, filter, st, head.m.Seq, now)
	return v, err
}

// look is an answer of stream.next.
type look struct {
	m      message
	behind int
	ok     bool
}

func (s *Service) look(ctx context.Context, filter string, from uint64) (*look, error) {
	m, behind, ok, err := s.copies.Near(ctx, filter, from)
	return &look{m, behind, ok}, err
}

// clean deletes confirmed copies that a crash or a lost answer has left, so that
// they are not counted; again says that there was one.
func (s *Service) clean(ctx context.Context, t *desk, st *state, head *look) (again bool) {
	for _, seq := range st.Undeleted {
		switch {
		case t.deleted[seq]:
			continue
		case seq >= head.m.Seq:
			again = true
			if err := s.remove(ctx, seq); err != nil {
				s.log.WarnContext(ctx, "confirmed copy not deleted", telemetry.KeySequence, seq, telemetry.Err(err))
				return false // it is counted for now, and never offered
			}
		}
		t.deleted[seq] = true // below the first one that is there nothing is
	}
	return again
}

// firstFree is the first free message behind the first copy: of those that were
// received before and are offered again, and those that never were, which begin
// behind High.
func (s *Service) firstFree(ctx context.Context, filter string, st *state, head uint64, now time.Time) (*message, error) {
	fresh, err := s.firstFresh(ctx, filter, st, now)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(st.Held); {
		h := st.Held[i]
		if fresh != nil && h.Seq > fresh.Seq {
			break
		}
		if h.Seq <= head || h.away(now) {
			i++
			continue
		}
		again, err := s.look(ctx, filter, h.Seq)
		if err != nil {
			return nil, err
		}
		if again.ok && again.m.Seq == h.Seq {
			return &again.m, nil
		}
		st.drop(h.Seq) // its mailbox was deleted
	}
	return fresh, nil
}

// firstFresh is the first free message above High, nil if there is none.
func (s *Service) firstFresh(ctx context.Context, filter string, st *state, now time.Time) (*message, error) {
	for from := st.High + 1; ; {
		l, err := s.look(ctx, filter, from)
		if err != nil || !l.ok {
			return nil, err
		}
		if st.standing(l.m.Seq, now) == free {
			return &l.m, nil
		}
		from = l.m.Seq + 1
	}
}

// remove deletes a copy. Deletes go through a bounded number of hands: the server
// works on few at a time, and drops all that wait when too many do.
func (s *Service) remove(ctx context.Context, seq uint64) error {
	select {
	case s.deletes <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.deletes }()
	return s.copies.Remove(ctx, seq)
}

// maxDeletes is how many deletes are on their way at once.
const maxDeletes = 48
