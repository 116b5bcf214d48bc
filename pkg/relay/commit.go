package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// The steps of relaying a batch, in their order.
const (
	stepMapped    step = "mapped"
	stepBuried    step = "dead letter written"
	stepCommitted step = "committed"
	stepNoted     step = "cursor copied after a batch"
	stepSettled   step = "after commit"
	stepAcked     step = "acknowledged"
)

// Why a plan is made anew.
var (
	// errSpoilt: the target refuses it for something in it, not for its cursor.
	errSpoilt = errors.New("the target refuses a message of the batch")
	// errKnown: a Once had been stored before, and its effects were dropped.
	errKnown = errors.New("a message of the batch had been relayed before")
)

// work relays until something breaks.
func (s *session) work() error {
	s.over.Go(s.watch)
	for {
		p, err := s.collect()
		if err != nil {
			return err
		}
		if err := s.at(s.ctx, stepMapped); err != nil {
			return err
		}
		switch err := s.relay(p); {
		case errors.Is(err, errKnown):
			s.back = append(p.all(), s.back...)
		case errors.Is(err, errSpoilt):
			if err := s.spoilt(p, err); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
}

// watch keeps the lag up to date.
func (s *session) watch() {
	tick := time.NewTicker(s.o.PinnedTTL)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			if _, err := s.info(); err != nil {
				s.o.Log.Debug("lag not known", "relay", s.o.Name, telemetry.Err(err))
			}
		}
	}
}

// relay stores a plan and settles it.
func (s *session) relay(p *plan) error {
	// A plan with nothing in it makes an old cursor young.
	if p.moves(s.cur) || len(p.items) == 0 {
		fresh := len(s.fresh(p.items))
		if err := s.commit(p); err != nil {
			return err
		}
		s.show(nil)
		s.alone, s.failures = false, 0
		s.metrics.attempts.Set(0)
		s.metrics.batch.Observe(float64(len(p.msgs) + 1))
		s.metrics.relayed.Add(float64(fresh))
		if p.part != nil {
			s.back = append([]*item{p.part}, s.back...)
		}
		if err := s.at(s.ctx, stepCommitted); err != nil {
			return err
		}
		if err := s.copy(s.ctx); err != nil {
			return err
		}
		if err := s.at(s.ctx, stepNoted); err != nil {
			return err
		}
	}
	return s.settle(p)
}

// settle runs AfterCommit and acknowledges. An acknowledgement that is lost
// costs a delivery, nothing more.
func (s *session) settle(p *plan) error {
	for _, it := range p.items {
		for failures := 1; s.o.AfterCommit != nil; failures++ {
			ctx := telemetry.Extract(s.ctx, it.Header)
			err := s.guard(func() error { return s.o.AfterCommit(ctx, it.Message) })
			if err == nil {
				break
			}
			s.o.Log.Warn("after commit failed, asking again", "relay", s.o.Name, telemetry.KeySequence, it.At.Seq, telemetry.Err(err))
			if err := s.pause(s.o.backoff(failures)); err != nil {
				return err
			}
		}
		if err := s.at(s.ctx, stepSettled); err != nil {
			return err
		}
		if err := it.ack(); err != nil {
			s.o.Log.Debug("not acknowledged", "relay", s.o.Name, telemetry.KeySequence, it.At.Seq, telemetry.Err(err))
		}
	}
	return s.at(s.ctx, stepAcked)
}

// spoilt finds out which message is to blame: each goes alone, and the one that
// is refused alone has failed.
func (s *session) spoilt(p *plan, cause error) error {
	all := p.all()
	s.back = append(all, s.back...)
	fresh := s.fresh(all)
	if s.alone = true; len(fresh) > 1 {
		return nil
	}
	return s.failed(fresh[0], cause)
}

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
		batch := append(p.msgs[:len(p.msgs):len(p.msgs)], m)
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
		m, err := s.last(ctx, s.o.Target, subj)
		if err != nil {
			return dropped, err
		}
		if m != nil {
			it.effects, dropped = Effects{}, true
		}
	}
	return dropped, nil
}

// copy keeps the cursor also where nothing is forgotten by age, fenced like the
// cursor itself: a worker that wakes up late must not turn it back.
func (s *session) copy(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for tries := 1; ; tries++ {
		revision, err := s.putCopy(ctx, s.cur, s.copied)
		if err == nil {
			s.copied = revision
			return nil
		}
		stored, revision, loadErr := s.loadCopy(ctx)
		switch {
		case loadErr != nil:
		case revision != 0 && stored.wrote(s.cur):
			s.copied = revision
			return nil
		case revision != s.copied:
			s.metrics.conflicts.Inc()
			return errConflict
		}
		s.o.Log.Warn("cursor not copied, trying again", "relay", s.o.Name, telemetry.Err(err))
		if err := s.pause(s.o.backoff(tries)); err != nil {
			return err
		}
	}
}
