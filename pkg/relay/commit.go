package relay

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Why a plan is made anew.
var (
	// errSpoilt: the target refuses it for something in it, not for its cursor.
	errSpoilt = errors.New("the target refuses a message of the batch")
	// errKnown: a Once had been stored before, and its effects were dropped.
	errKnown = errors.New("a message of the batch had been relayed before")
)

// commit stores a plan and removes the cursor that it replaces.
func (s *session) commit(p *plan) error {
	s.forgets.Wait()
	replaced := s.revision
	// A batch on its way is waited for, also when the process is to stop.
	if err := s.write(context.WithoutCancel(s.ctx), p); err != nil {
		return err
	}
	s.relayed.Store(s.cur.Seq)
	if s.rollup || replaced == 0 {
		return nil
	}
	s.forgets.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), callTimeout)
		defer cancel()
		if err := s.target.DeleteMsg(ctx, replaced); err != nil {
			s.o.Log.Debug("replaced cursor not removed", "relay", s.o.Name, telemetry.Err(err))
		}
	})
	return nil
}

// write stores a plan and its cursor as one batch, however often it takes, and
// finds out what became of it. Every try carries the same signed cursor, so one
// that was believed lost and arrives late is recognised as this one.
func (s *session) write(ctx context.Context, p *plan) error {
	doc := s.sign(p.next)
	for tries := 1; ; tries++ {
		m, err := doc.message(s.o.Cursor, s.revision, s.rollup)
		if err != nil {
			return err
		}
		batch := slices.Concat(p.msgs, []*nats.Msg{m})
		ack, err := s.o.Bus.PublishBatch(ctx, batch)
		if err == nil {
			s.cur, s.revision = doc, ack.Seq
			return nil
		}
		cause := err
		for {
			stored, revision, err := s.loadCursor(ctx)
			switch {
			case err != nil:
				s.o.Log.Warn("outcome of a batch not known yet", "relay", s.o.Name, telemetry.Err(err))
				if err := s.pause(s.o.backoff(tries)); err != nil {
					return err
				}
				tries++
				continue
			case revision != 0 && stored.wrote(doc):
				s.cur, s.revision = doc, revision
				return nil
			case revision != s.revision:
				s.metrics.conflicts.Inc()
				return errConflict
			}
			break
		}
		if err := s.again(ctx, p, cause, tries); err != nil {
			return err
		}
	}
}

// again says whether a batch that is not stored, though its cursor is the right
// one, is worth another try; nil means yes, after a wait.
func (s *session) again(ctx context.Context, p *plan, cause error, tries int) error {
	const patience = 4
	switch {
	case errors.Is(cause, bus.ErrExpectation):
		// Perhaps an earlier try is still on its way through the cluster; but an
		// expectation that the owner made fails for good.
		known, err := s.dropKnown(ctx, p)
		if known {
			return errKnown
		}
		if err == nil && tries > patience && guarded(p.msgs) {
			return errors.Join(fault.Wrap(fault.Conflict, cause, "an effect expects what is not so"), errSpoilt)
		}
	case errors.Is(cause, bus.ErrIncomplete) && tries > patience && len(p.msgs) > 0:
		// No leader changes that often: the target has not taken an effect.
		return errors.Join(fault.Wrap(fault.Internal, cause, "the target does not take an effect"), errSpoilt)
	case fault.CodeOf(cause) == fault.InvalidConfig:
		return cause
	case fault.CodeOf(cause).Kind() != fault.Down && len(p.msgs) > 0:
		return errors.Join(cause, errSpoilt)
	}
	s.o.Log.Warn("batch not stored, trying again", "relay", s.o.Name, telemetry.Err(cause))
	if tries > patience {
		s.show(cause)
	}
	return s.pause(s.o.backoff(tries))
}

// guarded says whether messages hold expectations of their own.
func guarded(msgs []*nats.Msg) bool {
	for _, m := range msgs {
		if len(m.Header[headerExpected]) > 0 {
			return true
		}
	}
	return false
}

// dropKnown takes the effects from what Once keeps from happening again: the
// leader has a message under its subject.
func (s *session) dropKnown(ctx context.Context, p *plan) (dropped bool, err error) {
	for subj, it := range p.once {
		_, known, err := s.stored(s.o.Target).Last(ctx, subj)
		if err != nil {
			return dropped, err
		}
		if known {
			it.drop()
			dropped = true
		}
	}
	return dropped, nil
}
