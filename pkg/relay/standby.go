package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// standBy waits for the server's first message: it pins a client by sending. A
// client that is pinned already has perhaps nothing to wait for.
func (s *session) standBy() error {
	tick := time.NewTicker(s.o.PinnedTTL / 2)
	defer tick.Stop()
	looked := time.Now()
	for {
		if pinned, err := s.lookAround(); err != nil || pinned {
			return err
		}
		if time.Since(looked) > s.rewrite/8 {
			looked = time.Now()
			s.refresh()
		}
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-s.pinned:
			return nil
		case <-tick.C:
		}
	}
}

// lookAround asks the durable who is pinned. If nobody is, what the last one held would
// come again only after AckWait, and what it may not have settled not at all, if the
// server takes it for acknowledged: a reset brings it back now, and harms nobody, because
// a worker that is reset behind its back takes over anew.
func (s *session) lookAround() (pinned bool, err error) {
	info, err := s.info()
	if err != nil {
		return false, err
	}
	var client string
	for _, g := range info.PriorityGroups {
		client = g.PinnedClientID
	}
	switch {
	case client != "":
		return client == s.pinID(), nil
	case !s.brought:
		return false, s.bringBack()
	case info.NumAckPending > 0:
		_, err = s.source.ResetConsumer(s.ctx, s.o.Name)
	}
	return false, err
}

// bringBack has the server deliver again, and so pin somebody, what the last worker may
// have left unsettled: the batch of its cursor.
func (s *session) bringBack() error {
	c, revision, err := s.loadCursor(s.ctx)
	if err == nil && revision > 0 {
		_, err = s.source.ResetConsumerToSequence(s.ctx, s.o.Name, c.Settled+1)
	}
	s.brought = err == nil
	return err
}

// info is the durable's state, in the leader's word; the lag is in it.
func (s *session) info() (*jetstream.ConsumerInfo, error) {
	info, err := s.source.Consumer(s.ctx, s.o.Name)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "relay %s: look at its consumer", s.o.Name)
	}
	i := info.CachedInfo()
	s.metrics.lag.Set(float64(i.NumPending) + float64(i.NumAckPending))
	return i, nil
}

// refresh rewrites a cursor that has become old while nobody worked: a target
// that forgets by age must not forget it. A worker writes its own, earlier.
func (s *session) refresh() {
	c, revision, err := s.loadCursor(s.ctx)
	if err == nil && revision > 0 && time.Since(c.At) > s.rewrite*5/4 {
		s.cur, s.revision = c, revision
		if err = s.write(s.ctx, &plan{next: c}); err == nil {
			s.purge()
		}
	}
	if err != nil && !errors.Is(err, errConflict) {
		s.o.Log.Warn("cursor not rewritten", "relay", s.o.Name, telemetry.Err(err))
	}
}
