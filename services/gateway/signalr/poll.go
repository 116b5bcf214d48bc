package signalr

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/internal/lean"
)

// pollTimeout is how long a poll is held without anything to answer (.NET:
// PollTimeout); clients give up at 100 s.
const pollTimeout = 90 * time.Second

// pollLine is the polls of a connection, one at a time. What is sent waits for a
// poll to take it: between two polls the window's queue fills, as it does while a
// socket is slow.
type pollLine struct {
	ctx context.Context // the connection's

	mu      sync.Mutex
	offered []Message     // wait for a poll, nil = nothing does
	offer   chan struct{} // has one element while something is offered
	taken   chan struct{} // closes when it has been written
	held    func()        // sends the poll that is held away; nil = none is
	idle    atomic.Int64  // unix seconds since when no poll is held; 0 = one is
}

func newPollLine(ctx context.Context) *pollLine {
	l := &pollLine{ctx: ctx, offer: make(chan struct{}, 1)}
	l.idle.Store(now().Unix())
	return l
}

// send offers messages to the next poll, and returns when it has written them. The
// clock ends the connection if none comes.
func (l *pollLine) send(messages []Message) error {
	taken := make(chan struct{})
	l.mu.Lock()
	l.offered, l.taken = messages, taken
	l.mu.Unlock()
	select {
	case l.offer <- struct{}{}:
	case <-l.ctx.Done(): // what was offered before may lie there for ever
	}
	select {
	case <-taken:
		return nil
	case <-l.ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.offered = nil
		select {
		case <-taken: // at the same moment
			return nil
		default:
			return errOver
		}
	}
}

// give writes what is offered. If the poll's client has left it stays, for the next
// one.
func (l *pollLine) give(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.offered == nil:
		w.WriteHeader(http.StatusNoContent) // the connection has ended
		return
	case r.Context().Err() != nil:
	default:
		p := lean.Buffer()
		defer lean.Free(p)
		*p = appendAll(*p, unexpired(l.offered)) // of what waited long there may be nothing left
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write(*p); err == nil && http.NewResponseController(w).Flush() == nil {
			l.offered = nil
			close(l.taken)
			return
		}
	}
	l.offer <- struct{}{}
}

// hold makes a poll the one that is held; one before it is sent away. The answer
// gives the place back.
func (l *pollLine) hold() (sentAway <-chan struct{}, leave func()) {
	away := make(chan struct{})
	var once sync.Once
	goAway := func() { once.Do(func() { close(away) }) }
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		l.held()
	}
	l.held = goAway
	l.idle.Store(0)
	return away, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		select {
		case <-away: // another has the place
		default:
			l.held = nil
			l.idle.Store(now().Unix())
		}
	}
}

// close and abort have nothing to close: a poll that is held sees the connection
// end.
func (l *pollLine) close() {}
func (l *pollLine) abort() {}

// firstPoll opens a connection over long polls. It is answered at once, which is
// what the client waits for.
func (s *Server) firstPoll(w http.ResponseWriter, c *Conn) error {
	if err := c.connect(newPollLine(c.ctx), &source{}); err != nil {
		return err
	}
	pollHeaders(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func pollHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-cache, no-store")
}

// poll holds a request until there is something to answer: messages, or that the
// connection is over.
func (c *Conn) poll(w http.ResponseWriter, r *http.Request) error {
	l, _ := c.current()
	polls, ok := l.(*pollLine)
	if !ok {
		return errOver
	}
	sentAway, leave := polls.hold()
	defer leave()
	patience := time.NewTimer(pollTimeout)
	defer patience.Stop()
	pollHeaders(w)
	select {
	case <-polls.offer:
		polls.give(w, r)
	case <-sentAway:
		w.WriteHeader(http.StatusNoContent)
	case <-c.ctx.Done():
		w.WriteHeader(http.StatusNoContent)
	case <-patience.C:
		w.WriteHeader(http.StatusOK)
	case <-r.Context().Done():
	}
	return nil
}

// parting answers a poll whose token was taken back, which may have happened between
// two polls: with the connection's last words and nothing else, because a client that
// is only refused tries again for as long as it may.
func (s *Server) parting(w http.ResponseWriter, token string, reason error) bool {
	c, _ := s.list.find(token)
	if c == nil || c.way != longPoll || !c.entered() {
		return false
	}
	c.end()
	pollHeaders(w)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(c.append(c.lastWords(fault.CodeOf(reason))).Bytes) // whoever has left knows without it
	return true
}
