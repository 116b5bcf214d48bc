package relay

import (
	"context"
	"errors"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// failed decides about a message whose effects cannot be had, or not be stored:
// ask again later, or give it up. What is unavailable is nobody's fault and is
// not counted; everything else is counted in the cursor.
func (s *session) failed(it *item, cause error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	attempts := 1
	if s.cur.Head == it.At.Seq {
		attempts += s.cur.Attempts
	}
	kind := fault.CodeOf(cause).Kind()
	log := s.o.Log.With("relay", s.o.Name, telemetry.KeySubject, it.Subject, telemetry.KeySequence, it.At.Seq, "attempt", attempts, telemetry.Err(cause))
	switch {
	case kind == fault.Down:
		s.failures++
		log.Warn("message waits for something unavailable")
		return s.pause(s.o.backoff(s.failures))
	case kind == fault.Invalid || attempts >= s.o.MaxAttempts || s.cur.Starts > 4*s.o.MaxAttempts:
		return s.bury(it, cause, attempts)
	}
	next := s.cur
	next.Attempts = attempts
	if next.Head != it.At.Seq {
		next.Head, next.Sub, next.Of = it.At.Seq, 0, 0
	}
	if err := s.commit(&plan{next: next}); err != nil {
		return err
	}
	s.metrics.attempts.Set(float64(attempts))
	log.Warn("message failed, asking again")
	it.mapped = false
	return s.pause(s.o.backoff(attempts))
}

// bury writes the dead letter; the message then has no effects, and the next
// batch moves the cursor past it.
func (s *session) bury(it *item, cause error, attempts int) error {
	l := bus.Letter{
		Consumer: s.o.Name, Stream: s.o.Source, At: it.At, Subject: it.Subject, Header: it.Header, Data: it.Data,
		Stored: it.Stored, Attempts: uint64(attempts), Reason: cause,
	}
	for failures := 1; ; failures++ {
		err := s.o.Bus.DeadLetter(s.ctx, l)
		if err == nil {
			break
		}
		if fault.CodeOf(err) == fault.EventTooLarge {
			l.Data = nil // the source has it, at the position the letter names
		}
		s.o.Log.Warn("dead letter not written", "relay", s.o.Name, telemetry.KeySequence, it.At.Seq, telemetry.Err(err))
		if err := s.pause(s.o.backoff(failures)); err != nil {
			return err
		}
	}
	s.metrics.deadLetters.Inc()
	s.o.Log.Error("message given up", "relay", s.o.Name, telemetry.KeySubject, it.Subject, telemetry.KeySequence, it.At.Seq, telemetry.Err(cause))
	it.effects, it.mapped = Effects{}, true
	return s.at(s.ctx, stepBuried)
}

// pause waits, unless the session is over.
func (s *session) pause(d time.Duration) error {
	select {
	case <-s.ctx.Done():
		return errors.Join(errRetry, context.Cause(s.ctx))
	case <-time.After(d):
		return nil
	}
}
