package scheduler

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// ensureClock makes the clock's schedules what the configuration says: those that
// are missing or different are armed, those that nobody wants any more removed,
// and all others go on where they are. Every replica does this when it starts; the
// revisions decide between two that do it at once.
//
// again also arms the others anew: after the machine's clock was set, the server
// looks at its own only when something is armed, and an interval must not wait
// until a clock that was set back has caught up.
func (s *Service) ensureClock(ctx context.Context, again bool) error {
	now := s.now()
	wanted, err := s.config.strikes(now)
	if err != nil {
		return err
	}
	// All at once, so that their changes gather in few batches.
	done := make(chan error, len(wanted))
	for _, d := range wanted {
		go func() { done <- s.ensureStrike(ctx, *d, again) }()
	}
	for range wanted {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		return err
	}
	return s.removeStrikes(ctx, wanted)
}

// removeStrikes forgets the clock's schedules that nobody wants any more.
func (s *Service) removeStrikes(ctx context.Context, wanted []*definition) error {
	kept, err := s.store.subjects(ctx, subject.TenantSchedules(subject.Platform))
	if err != nil {
		return err
	}
	for _, d := range wanted {
		delete(kept, d.address().Definition())
	}
	for subj := range kept {
		m, err := s.store.last(ctx, Schedules, subj)
		if err != nil {
			return err
		}
		if m == nil {
			continue // gone meanwhile
		}
		have, err := definitionOf(m)
		if err != nil {
			return err
		}
		if err := s.store.forget(ctx, have.address()); err != nil {
			return err
		}
	}
	return nil
}

// ensureStrike is ensureClock for one.
func (s *Service) ensureStrike(ctx context.Context, want definition, again bool) error {
	for {
		have, err := s.store.load(ctx, want.address())
		if err != nil {
			return err
		}
		to, err := s.correct(have, want, again)
		if err != nil {
			return err
		}
		if to == nil {
			now, err := s.store.look(ctx, want.address(), have.revision)
			if err != nil {
				return err
			}
			return s.store.heal(ctx, now)
		}
		if err := s.store.commit(ctx, change{have.revision, to}); !conflicted(err) {
			return err
		}
	}
}

// correct is what a kept schedule of the clock must become; nil = it is right.
func (s *Service) correct(have kept, want definition, again bool) (*definition, error) {
	rule, err := s.store.rules.parse(want.Rule)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if !have.live() || !sameStrike(*have.definition, want) {
		if have.definition != nil { // what was fired under this name is not fired again
			want.Arming, want.Last, want.Fired, want.Missed = have.Arming, have.Last, have.Fired, have.Missed
			want.begin(now)
		}
		want.rearm(rule, now, s.config.KeepEnded)
		return &want, nil
	}
	to := *have.definition
	if far := rule.Every > 0 && to.Armed != nil && to.Armed.Nominal.Sub(now) > rule.Every+lateRestart; far {
		to.Rule, to.Settled = want.Rule, now
		to.rearm(rule, now, s.config.KeepEnded)
		return &to, nil
	}
	if !again {
		return nil, nil
	}
	to.Arming++
	return &to, nil
}

// sameStrike compares what the configuration decides; where an interval is
// anchored is not part of it.
func sameStrike(a, b definition) bool {
	plain := func(r calendar.Spec) calendar.Spec {
		r.Anchor = ""
		return r
	}
	return reflect.DeepEqual(plain(a.Rule), plain(b.Rule)) && a.CatchUp == b.CatchUp && reflect.DeepEqual(a.Action, b.Action)
}

// stepSize is what counts as a clock that was set; less is an NTP daemon at its work.
const stepSize = 2 * time.Second

// watchSteps notices that the clock was set, or that the machine slept.
func (s *Service) watchSteps(ctx context.Context) {
	tick := time.NewTicker(s.pace.steps)
	defer tick.Stop()
	began, wall := time.Now(), s.now().Round(0) // Round takes the monotonic reading off
	var known time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		step := s.now().Round(0).Sub(wall) - time.Since(began) - known
		if step.Abs() < stepSize {
			continue
		}
		s.log.Warn("the machine's clock was set; arming the clock anew", "step", step)
		s.metrics.steps.Inc()
		if err := s.ensureClock(ctx, true); err != nil {
			s.log.Warn("clock not armed anew, trying again", "code", fault.CodeOf(err), "err", err)
			continue
		}
		known += step
	}
}
