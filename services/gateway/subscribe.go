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
	at := event.Cursor{}
	if from > 0 || len(durable(want)) > 0 {
		at = s.cursor(from)
	}
	answer(at)
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
	var all []key
	for _, keys := range r.want {
		all = append(all, keys...)
	}
	tokens, err := s.acquireAll(ctx, all)
	if err != nil {
		return nil, err
	}
	p := newReplay(c, r)
	if err := s.admitReplay(ctx, p); err != nil {
		s.feed.release(tokens...)
		s.stats.resumes.WithLabelValues(string(fault.CodeOf(err)), "").Inc()
		return nil, err
	}
	for _, f := range s.hub.filters(c) {
		s.feed.release(s.hub.unsubscribe(c, f)...)
	}
	if len(p.tenants) == 0 { // nothing it asks for is ever missed
		accepted()
		return s.resumeSignals(c, r.want)
	}
	c.fallBehind()
	accepted()
	done = make(chan struct{})
	go func() { // whoever reads from the connection waits for done before it ends
		defer close(done)
		joined, err := s.resume(ctx, p)
		if !joined {
			s.feed.release(tokens...)
		}
		switch {
		case err == nil:
			s.stats.resumes.WithLabelValues("resumed", p.source).Inc()
		case ctx.Err() != nil, errors.Is(err, errClosed):
			s.stats.resumes.WithLabelValues("disconnected", p.source).Inc()
		default:
			s.stats.resumes.WithLabelValues("failed", p.source).Inc()
			s.out.Warn("resume failed", telemetry.KeyConnection, c.id, telemetry.Err(err))
			c.shut(fault.FeedLost) // the client comes back and resumes again
		}
	}()
	return done, nil
}

// resumeSignals is a resumption of what is never stored: it is live at once.
func (s *Service) resumeSignals(c *connection, want map[filter][]key) (done chan struct{}, err error) {
	_, unused, err := s.hub.subscribe(c, want, len(want))
	s.feed.release(unused...)
	c.stopHolding()
	done = make(chan struct{})
	close(done)
	return done, err
}

// admitReplay says whether what lies behind the cursor can be had: from memory,
// which may be made to reach so far, or from the log.
func (s *Service) admitReplay(ctx context.Context, p *replay) error {
	known := func() bool {
		return p.r.cursor.Epoch == *s.feed.epoch.Load() && s.hub.covers(p.tenants, p.after)
	}
	if known() {
		return nil
	}
	if err := s.checkWindow(ctx, p.r.cursor); err != nil {
		return err
	}
	for _, token := range p.tenants {
		s.feed.reach(ctx, token, p.after)
	}
	return nil
}
