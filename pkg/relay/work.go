package relay

import (
	"errors"
	"time"

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

// settle runs AfterBatch or AfterCommit, and acknowledges. An acknowledgement
// that is lost costs a delivery, nothing more.
func (s *session) settle(p *plan) error {
	if s.o.AfterBatch != nil && len(p.items) > 0 {
		ms := make([]Message, len(p.items))
		for i, it := range p.items {
			ms[i] = it.Message
		}
		if err := s.insist(p.items[0], func() error { return s.o.AfterBatch(s.ctx, ms) }); err != nil {
			return err
		}
	}
	for _, it := range p.items {
		if it.Known {
			s.metrics.known.Inc()
		}
		if s.o.AfterCommit != nil {
			ctx := telemetry.Extract(s.ctx, it.Header)
			if err := s.insist(it, func() error { return s.o.AfterCommit(ctx, it.Message) }); err != nil {
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

// insist asks the owner until it succeeds or the session is over.
func (s *session) insist(it *item, f func() error) error {
	for failures := 1; ; failures++ {
		err := s.guard(f)
		if err == nil {
			return nil
		}
		s.o.Log.Warn("after commit failed, asking again", "relay", s.o.Name, telemetry.KeySequence, it.At.Seq, telemetry.Err(err))
		if err := s.pause(s.o.backoff(failures)); err != nil {
			return err
		}
	}
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
