package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// link is one WebSocket connection.
type link struct {
	ws      *websocket.Conn
	ctx     context.Context // ends with the link
	cancel  context.CancelFunc
	over    chan struct{} // closed when the window has let go of the link
	silence *time.Timer   // cancels the link when the server is not heard
	limit   time.Duration // for that long

	mu      sync.Mutex
	last    int
	waiting map[string]call
}

// call is a request that awaits its answer.
type call struct {
	request request
	to      chan answer // buffered; nil for the window's own requests
}

const (
	dialTimeout = 15 * time.Second
	// silentPings is how many pings may be missing before the link counts as dead.
	silentPings = 2
	// firstSilence applies until the welcome tells the ping interval.
	firstSilence = 15 * time.Second
)

// connect dials. ctx bounds the handshake, running the life of the link.
func (w *Window) connect(ctx, running context.Context) (*link, error) {
	ctx, stop := context.WithTimeout(ctx, dialTimeout)
	defer stop()
	h := http.Header{}
	token := w.o.Token
	if w.o.TokenFunc != nil {
		var err error
		if token, err = w.o.TokenFunc(ctx); err != nil {
			return nil, fmt.Errorf("ask for a token: %w", err)
		}
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	l := &link{limit: firstSilence, over: make(chan struct{}), waiting: map[string]call{}}
	l.ctx, l.cancel = context.WithCancel(running)
	//nolint:bodyclose // Dial closes it, and says so
	ws, res, err := websocket.Dial(ctx, w.url, &websocket.DialOptions{
		HTTPClient: w.o.HTTPClient, HTTPHeader: h, Subprotocols: []string{subprotocol},
		OnPingReceived: func(context.Context, []byte) bool { l.heard(); return true },
	})
	if err != nil {
		l.cancel()
		return nil, dialFault(res, err)
	}
	if ws.Subprotocol() != subprotocol {
		_ = ws.CloseNow() // the reason is returned
		l.cancel()
		return nil, fault.New(fault.UnsupportedProtocol, "the server at this address does not speak %s", subprotocol)
	}
	ws.SetReadLimit(w.o.MaxMessageBytes)
	l.ws = ws
	l.silence = time.AfterFunc(l.limit, l.cancel)
	return l, nil
}

// dialFault reads the gateway's refusal. Without one it is unavailable.
func dialFault(res *http.Response, err error) error {
	if res == nil || res.StatusCode == http.StatusSwitchingProtocols {
		return fault.Wrap(fault.Unavailable, err, "cannot reach the gateway")
	}
	var f fault.Error
	if b, readErr := io.ReadAll(res.Body); readErr == nil && json.Unmarshal(b, &f) == nil && f.Code() != "" {
		return &f
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return fault.Wrap(fault.TokenInvalid, err, "the gateway refused the token")
	case http.StatusForbidden:
		return fault.Wrap(fault.GrantMissing, err, "the gateway refused the connection")
	case http.StatusNotFound:
		return fault.Wrap(fault.NotFound, err, "no gateway at this address")
	}
	return fault.Wrap(fault.Unavailable, err, "the gateway answered %s", res.Status)
}

func (l *link) welcome(w *welcome) {
	if w.PingSeconds > 0 {
		l.limit = silentPings * time.Duration(w.PingSeconds) * time.Second
	}
	l.heard()
}

func (l *link) heard() { l.silence.Reset(l.limit) }

func (l *link) close() {
	l.silence.Stop()
	l.cancel()
	_ = l.ws.CloseNow() // the connection is over either way
}

// read waits for one message and splits it into frames.
func (l *link) read() ([]answer, error) {
	_, b, err := l.ws.Read(l.ctx)
	if err != nil {
		return nil, closeFault(err)
	}
	l.heard()
	var frames []answer
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fault.Wrap(fault.FeedLost, err, "the gateway sent something that is no frame")
		}
		frames = append(frames, a)
	}
	return frames, nil
}

// closeFault is why the connection ended. The close reason of our codes is the
// fault's code; the number alone decides whether to come back.
func closeFault(err error) error {
	var c websocket.CloseError
	if !errors.As(err, &c) {
		return fault.Wrap(fault.Unavailable, err, "the connection to the gateway broke")
	}
	code := fault.Code(c.Reason)
	if code.CloseCode() != int(c.Code) { // not ours, or one this version does not know
		code = fault.Unavailable
		if !fault.Reconnects(int(c.Code)) {
			code = fault.Internal
		}
	}
	return fault.Wrap(code, err, "the gateway closed the connection: %s", c.Reason).With(closeDetail, strconv.Itoa(int(c.Code)))
}

// closeDetail is the detail that holds the WebSocket close code.
const closeDetail = "close"

// send numbers a request and writes it. The answer, if anybody waits for it,
// comes through to.
func (l *link) send(r request, to chan answer) error {
	l.mu.Lock()
	l.last++
	r.ID = strconv.Itoa(l.last)
	l.waiting[r.ID] = call{r, to}
	l.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("build a frame: %w", err)
	}
	if err := l.ws.Write(l.ctx, websocket.MessageText, b); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the connection to the gateway broke")
	}
	return nil
}

// answered finds the request that a belongs to.
func (l *link) answered(a answer) (call, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.waiting[a.ID]
	delete(l.waiting, a.ID)
	return c, ok
}
