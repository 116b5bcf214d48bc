package gateway

import (
	"context"
	"errors"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// cursor is a position in the current log.
func (s *Service) cursor(seq uint64) event.Cursor {
	return event.Cursor{Epoch: *s.feed.epoch.Load(), Seq: seq}
}

// acquireAll acquires one feed per key, or none.
func (s *Service) acquireAll(ctx context.Context, keys []key) (tokens []string, err error) {
	for _, k := range keys {
		if err := s.feed.acquire(ctx, k.tenant); err != nil {
			s.feed.release(tokens...)
			return nil, err
		}
		tokens = append(tokens, k.tenant)
	}
	return tokens, nil
}

// subscribe makes filters live, all or none of them, and calls answer with the
// position from which they are before the first event. Subscribing twice is one.
func (s *Service) subscribe(ctx context.Context, c *connection, want map[filter][]key, answer func(from event.Cursor)) error {
	var tokens [][]string
	for _, keys := range want {
		t, err := s.acquireAll(ctx, keys)
		if err != nil {
			for _, t := range tokens {
				s.feed.release(t...)
			}
			return err
		}
		tokens = append(tokens, t)
	}
	from, unused, err := s.hub.subscribe(c, want, s.config.MaxSubscriptions)
	s.feed.release(unused...)
	if err != nil {
		return err
	}
	answer(s.cursor(from))
	if !c.stopHolding() {
		c.shut(fault.SlowConsumer)
	}
	return nil
}

// startResume replaces a connection's subscriptions and sends what they missed.
// It returns once that is certain to begin; accepted is called before the first
// event. done closes when the connection is live.
func (s *Service) startResume(ctx context.Context, c *connection, r resumption, accepted func()) (done chan struct{}, err error) {
	if len(r.want) > s.config.MaxSubscriptions {
		return nil, fault.New(fault.TooManySubscriptions, "one connection may hold %d subscriptions", s.config.MaxSubscriptions)
	}
	if err := s.checkWindow(ctx, r.cursor); err != nil {
		s.stats.resumes.WithLabelValues(string(fault.CodeOf(err))).Inc()
		return nil, err
	}
	var all []key
	for _, keys := range r.want {
		all = append(all, keys...)
	}
	if _, err := s.acquireAll(ctx, all); err != nil {
		return nil, err
	}
	for _, f := range s.hub.filters(c) {
		s.feed.release(s.hub.unsubscribe(c, f)...)
	}
	accepted()
	done = make(chan struct{})
	go func() { // whoever reads from the connection waits for done before it ends
		defer close(done)
		joined, err := s.resume(ctx, c, r)
		if !joined {
			for _, k := range all {
				s.feed.release(k.tenant)
			}
		}
		switch {
		case err == nil:
			s.stats.resumes.WithLabelValues("resumed").Inc()
		case ctx.Err() != nil, errors.Is(err, errClosed):
			s.stats.resumes.WithLabelValues("disconnected").Inc()
		default:
			s.stats.resumes.WithLabelValues("failed").Inc()
			s.out.Warn("resume failed", telemetry.KeyConnection, c.id, telemetry.Err(err))
			c.shut(fault.FeedLost) // the client comes back and resumes again
		}
	}()
	return done, nil
}
