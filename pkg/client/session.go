package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// session is what run knows of one link between its welcome and its end.
type session struct {
	w        *Window
	l        *link
	opening  bool // Open still waits: any refusal is its error
	ready    func()
	awaiting int // answers missing until the subscriptions stand
}

// run serves one link after the other until the window is closed or refused.
// first gets nil when the first one stands, or why it does not.
func (w *Window) run(ctx context.Context, l *link, first chan<- error) {
	defer close(w.ended)
	opened := false
	for attempt := 0; ; attempt++ {
		if l != nil {
			s := &session{w: w, l: l, opening: !opened, ready: func() {
				if !opened {
					first <- nil
				}
				opened, attempt = true, 0
				w.attach(l)
			}}
			w.err = s.serve()
			w.detach(l)
			l = nil // it is over, also when the window is closed before there is another
		}
		switch {
		case ctx.Err() != nil:
			w.err = fault.New(fault.Unavailable, "the window is closed")
			return
		case !opened:
			first <- w.err
			return
		case !w.comesBack(w.err):
			return
		}
		w.o.Log.Info("window reconnects", "attempt", attempt, "err", w.err)
		select {
		case <-ctx.Done():
			continue
		case <-time.After(w.backoff(attempt)):
		}
		var err error
		if l, err = w.connect(ctx, ctx); err != nil {
			l, w.err = nil, err
		}
	}
}

// backoff is random between zero and a limit that doubles ("full jitter"): when
// a gateway dies its thousands of windows must not come back together.
func (w *Window) backoff(attempt int) time.Duration {
	limit := w.o.BackoffMax
	if attempt < 30 {
		limit = min(limit, w.o.BackoffMin<<attempt)
	}
	if limit <= 0 {
		return w.o.BackoffMax
	}
	return rand.N(limit)
}

// comesBack says whether connecting again can help.
func (w *Window) comesBack(err error) bool {
	f := fault.From(err)
	if f.Code() == fault.TokenExpired && w.o.TokenFunc != nil {
		return true
	}
	if n, err := strconv.Atoi(f.Details()[closeDetail]); err == nil {
		return fault.Reconnects(n)
	}
	switch f.Code().Kind() {
	case fault.Down, fault.Exhausted, fault.Ours:
		return true
	}
	return false
}

func (w *Window) attach(l *link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = l
	close(w.up)
}

func (w *Window) detach(l *link) {
	w.mu.Lock()
	if w.link == l {
		w.link, w.up = nil, make(chan struct{})
	}
	w.mu.Unlock()
	l.close()
	close(l.over)
}

// ask sends a request on a standing link and waits for its answer. If the link
// breaks first, it asks again on the next one: every request may be repeated.
func (w *Window) ask(ctx context.Context, r request) (answer, error) {
	for {
		w.mu.Lock()
		l, up := w.link, w.up
		w.mu.Unlock()
		over, got := up, make(chan answer, 1)
		if l != nil {
			over = l.over
			if err := l.send(r, got); err != nil {
				l.cancel()
			}
		}
		select {
		case a := <-got:
			if a.Error != nil {
				return a, a.Error
			}
			return a, nil
		case <-over:
		case <-w.ended:
			return answer{}, w.err
		case <-ctx.Done():
			return answer{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the gateway did not answer in time")
		}
	}
}

// serve handles what the link brings until it ends, and says why.
func (s *session) serve() error {
	for {
		frames, err := s.l.read()
		if err != nil {
			return err
		}
		var at event.Cursor
		for i := range frames {
			f := &frames[i]
			if f.Event == nil {
				if err := s.control(f); err != nil {
					return err
				}
				continue
			}
			it, err := f.item()
			if err != nil {
				return fault.Wrap(fault.FeedLost, err, "the gateway sent something that is no event")
			}
			if err := s.put(outcome{item: it}); err != nil {
				return err
			}
			if !it.Cursor.IsZero() {
				at = it.Cursor
			}
		}
		// All forms of an event come in one message, so between two messages is
		// where the window may resume.
		if !at.IsZero() {
			s.w.mu.Lock()
			s.w.at = at
			s.w.mu.Unlock()
		}
	}
}

// put queues for Next. While the queue is full nothing is read, so the server's
// silence says nothing then.
func (s *session) put(out outcome) error {
	select {
	case s.w.items <- out:
		return nil
	default:
	}
	s.l.silence.Stop()
	defer s.l.heard()
	select {
	case s.w.items <- out:
		return nil
	case <-s.l.ctx.Done():
		return fault.Wrap(fault.Unavailable, s.l.ctx.Err(), "the window is closed")
	}
}

// control handles every frame that is no event.
func (s *session) control(f *answer) error {
	if f.Welcome != nil {
		s.l.welcome(f.Welcome)
		return s.begin()
	}
	switch {
	case f.Expiring != nil:
		if s.w.o.TokenFunc != nil {
			go s.renew()
		}
		return nil
	case f.Ended != nil:
		s.w.forget(f.Ended.Subscription)
		return s.put(outcome{err: f.Ended.Error})
	}
	if f.ID == "" {
		if f.Error == nil {
			return nil
		}
		if f.Error.Code() == fault.CursorGone {
			return s.put(outcome{err: f.Error})
		}
		s.w.o.Log.Warn("gateway reports an error", "code", string(f.Error.Code()), "err", f.Error)
		return nil
	}
	c, ok := s.l.answered(*f)
	if !ok {
		return nil
	}
	s.remember(c.request, f)
	if c.to != nil {
		c.to <- *f
		return nil
	}
	return s.begun(c.request, f)
}

// renew replaces the token on the open connection. If that fails, the connection
// ends with its token, and the next one asks for a token again.
func (s *session) renew() {
	token, err := s.w.o.TokenFunc(s.l.ctx)
	answered := make(chan answer, 1)
	if err == nil {
		err = s.l.send(request{Token: &newerToken{token}}, answered)
	}
	if err == nil {
		select {
		case a := <-answered:
			if a.Error != nil {
				err = a.Error
			}
		case <-s.l.over:
			return
		}
	}
	if err != nil && s.l.ctx.Err() == nil {
		s.w.o.Log.Warn("token not renewed", "err", err)
	}
}

// begin brings the subscriptions back: resumed from the position, if there is
// one.
func (s *session) begin() error {
	s.w.mu.Lock()
	subs, at := slices.Clone(s.w.subs), s.w.at
	s.w.mu.Unlock()
	switch {
	case len(subs) == 0:
		s.ready()
		return nil
	case !at.IsZero():
		s.awaiting = 1
		return s.l.send(request{Resume: &resume{at.String(), subs}}, nil)
	}
	s.awaiting = len(subs)
	for i := range subs {
		if err := s.l.send(request{Subscribe: &subs[i]}, nil); err != nil {
			return err
		}
	}
	return nil
}

// begun takes the answer to one of begin's requests.
func (s *session) begun(r request, f *answer) error {
	switch {
	case f.Error == nil:
	case s.opening, f.Error.Code().Kind() == fault.Down:
		return f.Error
	case r.Resume != nil && f.Error.Code() == fault.CursorGone:
		// Said plainly, and then on with what comes from now on.
		s.w.mu.Lock()
		s.w.at = event.Cursor{}
		s.w.mu.Unlock()
		return errors.Join(s.put(outcome{err: f.Error}), s.begin())
	case r.Resume != nil:
		return f.Error
	default: // one subscription is refused now, such as by a new token
		s.w.forget(*r.Subscribe)
		if err := s.put(outcome{err: f.Error}); err != nil {
			return err
		}
	}
	if s.awaiting--; s.awaiting == 0 {
		s.ready()
	}
	return nil
}

// remember keeps what the server has accepted, for the next link.
func (s *session) remember(r request, f *answer) {
	switch {
	case r.Subscribe != nil && f.Subscribed != nil:
		s.w.forget(*r.Subscribe)
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.w.subs = append(s.w.subs, *r.Subscribe)
		// The first position, until an event brings a later one. A later
		// subscription's is no substitute: events of the earlier ones before it
		// may still be on their way.
		if c, err := event.ParseCursor(f.Subscribed.Cursor); err == nil && s.w.at.IsZero() {
			s.w.at = c
		}
	case r.Unsubscribe != nil && f.Error == nil:
		s.w.forget(*r.Unsubscribe)
	}
}

func (w *Window) forget(sub Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs = slices.DeleteFunc(w.subs, sub.same)
}
