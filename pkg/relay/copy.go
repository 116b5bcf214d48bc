package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

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

// putCopy replaces the copy, fenced like the cursor.
func (r *Relay) putCopy(ctx context.Context, c cursor, revision uint64) (uint64, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("write the cursor's copy: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ack, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: r.copySubject(), Data: body},
		jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, fault.Wrap(fault.Conflict, errors.Join(bus.ErrExpectation, err), "somebody else wrote the copy first")
	}
	return 0, fault.Wrap(fault.Unavailable, errors.Join(bus.ErrOutcomeUnknown, err), "relay %s: the copy is not stored", r.o.Name)
}
