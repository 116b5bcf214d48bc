package relay

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// The steps of a takeover, in their order.
const (
	stepPinned step = "pinned"
	stepLoaded step = "cursor loaded"
	stepFenced step = "cursor fenced"
	stepCopied step = "cursor copied"
	stepReset  step = "consumer reset"
	stepOpened step = "opened"
)

// takeOver makes this worker the only one that can commit, and the deliveries
// its own: first a new revision of the cursor, so that whatever another worker
// holds or has under way is refused; then the reset, so that everything that is not
// settled comes again, in order.
func (s *session) takeOver() error {
	s.metrics.takeovers.Inc()
	if err := s.at(s.ctx, stepPinned); err != nil {
		return err
	}
	info, err := s.info()
	if err != nil {
		return err
	}
	if err := s.load(info); err != nil {
		return err
	}
	if err := s.at(s.ctx, stepLoaded); err != nil {
		return err
	}
	next := s.cur
	next.Starts++
	if err := s.write(s.ctx, &plan{next: next}); err != nil {
		return err
	}
	s.purge()
	if err := s.at(s.ctx, stepFenced); err != nil {
		return err
	}
	if err := s.copy(s.ctx); err != nil {
		return err
	}
	if err := s.at(s.ctx, stepCopied); err != nil {
		return err
	}
	s.begin()
	if err := s.reset(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "relay %s: reset its consumer", s.o.Name)
	}
	s.begin()
	if err := s.at(s.ctx, stepReset); err != nil {
		return err
	}
	s.o.Log.Info("relay taken over", "relay", s.o.Name, telemetry.KeySequence, s.cur.Seq, "starts", s.cur.Starts)
	if s.o.Open != nil {
		if err := s.guard(func() error { return s.o.Open(s.ctx, s.cur.position()) }); err != nil {
			return fmt.Errorf("relay %s: open: %w", s.o.Name, err)
		}
	}
	return s.at(s.ctx, stepOpened)
}

// load reads cursor and copy. Without a cursor in the target, which forgets by age, the
// relay stands where the copy says; with neither, where the last acknowledgement was.
func (s *session) load(info *jetstream.ConsumerInfo) (err error) {
	if s.cur, s.revision, err = s.loadCursor(s.ctx); err != nil {
		return err
	}
	stored, revision, err := s.loadCopy(s.ctx)
	if err != nil {
		return err
	}
	s.copied = revision
	switch {
	case s.revision > 0:
	case revision > 0:
		s.cur = stored
		s.o.Log.Warn("the cursor was missing in the target", "relay", s.o.Name, telemetry.KeySequence, s.cur.Seq)
	default:
		floor := info.AckFloor.Stream
		s.cur = cursor{Epoch: s.epoch, Seq: floor, Settled: floor}
	}
	s.relayed.Store(s.cur.Seq)
	return s.fits(s.cur)
}

// reset brings back all that the cursor does not know to be settled, whatever the ack
// floor says: a server that took the durable over may have it too high, from deliveries
// of before a reset, and one that was made anew has forgotten it. At most the last batch
// is settled once more for that.
func (s *session) reset() error {
	_, err := s.source.ResetConsumerToSequence(s.ctx, s.o.Name, s.cur.Settled+1)
	return err
}

// purge removes all older cursors: a worker may have died before it did. A stop
// does not interrupt it: the cursor it belongs to is stored.
func (s *session) purge() {
	if s.rollup {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), callTimeout)
	defer cancel()
	if err := s.target.Purge(ctx, jetstream.WithPurgeSubject(s.o.Cursor), jetstream.WithPurgeSequence(s.revision)); err != nil {
		s.o.Log.Debug("older cursors not removed", "relay", s.o.Name, telemetry.Err(err))
	}
}
