package signalr

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/belfry-events/belfry/services/gateway/internal/lean"
)

// streamLine is an event stream, of text. Each event is one line of data: JSON has
// no line breaks. net/http wants its handler to outlive all writes, so detach
// waits for the last.
type streamLine struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	stop    context.CancelFunc

	mu    sync.Mutex
	ended bool
}

func (l *streamLine) send(messages []Message) error {
	p := lean.Buffer()
	defer lean.Free(p)
	*p = append(appendAll(append(*p, "data: "...), messages), "\r\n\r\n"...)
	return l.write(*p)
}

func (l *streamLine) write(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return errOver
	}
	if err := l.control.SetWriteDeadline(now().Add(l.timeout)); err != nil {
		return err
	}
	if _, err := l.w.Write(b); err != nil {
		return err
	}
	return l.control.Flush()
}

// close: a stream has no way to end but to end.
func (l *streamLine) close() { l.stop() }
func (l *streamLine) abort() { l.stop() }

func (l *streamLine) detach() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// serveStream opens a connection over an event stream, and lasts as long as it.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, c *Conn) error {
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	l := &streamLine{w: w, control: http.NewResponseController(w), timeout: s.o.WriteTimeout, stop: stop}
	if err := c.connect(l, &source{}); err != nil {
		return err
	}
	defer l.detach()
	defer c.end()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no")                     // nginx would otherwise collect events
	if err := l.write([]byte(":\r\n\r\n")); err == nil { // so that proxies and clients see it open
		select {
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
	return nil
}
