package signalr

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/services/gateway/internal/lean"
)

// closeWait is how long a client has to answer our close frame (.NET:
// CloseTimeout).
const closeWait = 5 * time.Second

// socketLine is a WebSocket.
type socketLine struct {
	ws     *websocket.Conn
	socket *lean.Socket
	binary atomic.Bool // frames are for bytes
}

func (l *socketLine) send(messages []Message) error {
	p := l.frame(messages)
	defer lean.Free(p)
	_, err := l.socket.Write(*p)
	return err
}

// offer is as of Conn.Offer.
func (l *socketLine) offer(messages []Message) (rest func() error, err error) {
	p := l.frame(messages)
	more, err := l.socket.Offer(*p)
	if more == nil {
		lean.Free(p)
		return nil, err
	}
	return func() error {
		defer lean.Free(p)
		return more()
	}, nil
}

// frame puts messages into one frame.
func (l *socketLine) frame(messages []Message) *[]byte {
	size := 0
	for _, m := range messages {
		size += len(m.Bytes)
	}
	p := lean.Buffer()
	*p = appendAll(lean.AppendHeader(*p, l.binary.Load(), size), messages)
	return p
}

func appendAll(b []byte, messages []Message) []byte {
	for _, m := range messages {
		b = append(b, m.Bytes...)
	}
	return b
}

// close says that all is well: anything but 1000 is an error to a client, and what
// is wrong has been said in a message.
func (l *socketLine) close() {
	if l.socket.WriteClose(int(websocket.StatusNormalClosure), "") != nil || l.socket.SetReadDeadline(now().Add(closeWait)) != nil {
		l.abort()
	}
}

// abort closes the socket; that it may be closed already is no matter.
func (l *socketLine) abort() { _ = l.socket.Close() }

// accept makes a WebSocket of a request. On an error it has answered.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) (*socketLine, error) {
	writer := &lean.Writer{ResponseWriter: w, Timeout: s.o.WriteTimeout}
	ws, err := websocket.Accept(writer, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,                          // origins are looked at before, the same way for every request
		CompressionMode:    websocket.CompressionDisabled, // messages are encoded once for all
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1) // of a frame; messages have one
	return &socketLine{ws: ws, socket: writer.Socket}, nil
}

// serveWebSocket opens a connection over a WebSocket.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, c *Conn) error {
	from := &source{}
	if err := c.connect(nil, nil); err != nil { // before the upgrade, while a status can still be told
		return err
	}
	l, err := s.accept(w, r)
	if err != nil {
		c.end()
		return nil
	}
	c.mu.Lock()
	c.line, c.source = l, from
	c.mu.Unlock()
	if c.over.Load() { // it has ended meanwhile, and found nothing to abort
		l.abort()
	}
	if !s.list.start(func() { c.read(l, from) }) { // net/http frees the request's memory when we return
		l.abort()
	}
	return nil
}

// returnWebSocket is a stateful client that comes back.
func (s *Server) returnWebSocket(w http.ResponseWriter, r *http.Request, c *Conn, who *auth.Principal) error {
	l, err := s.accept(w, r)
	if err != nil {
		return nil //nolint:nilerr // it has been answered
	}
	if c.over.Load() || !c.entered() {
		l.abort()
		return nil
	}
	l.binary.Store(c.protocol.Binary())
	from := &source{resumes: true}
	if !s.list.start(func() {
		c.comeBack(l, from)
		c.renew(who) // now, because if its token has become less, this is where it is told
		c.read(l, from)
	}) {
		l.abort()
	}
	return nil
}

// pieceBytes is how much is read at once.
const pieceBytes = 4 << 10

// read is a socket's one goroutine: it reads until the socket ends. There is no
// deadline and no cancel on reads, both of which would cost a timer or a goroutine
// per connection: the clock finds the dead, and abort unblocks us.
func (c *Conn) read(l *socketLine, from *source) {
	var err error
	for err == nil {
		var in io.Reader
		if _, in, err = l.ws.Reader(context.Background()); err == nil {
			// Aside, so that who only waits for frames keeps a small stack.
			done := make(chan error)
			go func() { done <- c.readPieces(in, from) }()
			err = <-done
		}
	}
	_ = l.ws.CloseNow() // closed already, or cut; either way it is over
	cut := websocket.CloseStatus(err) == -1
	if cut && c.replay != nil && !c.over.Load() {
		c.lose(l)
		return
	}
	if current, _ := c.current(); current == l {
		c.end()
	}
}

// readPieces passes on a frame or a body in pieces, text or bytes: what is in it is
// said by the protocol. The buffer is held while something comes, not while we wait.
func (c *Conn) readPieces(in io.Reader, from *source) error {
	p := lean.Buffer()
	defer lean.Free(p)
	b := (*p)[:cap(*p)]
	b = b[:min(len(b), pieceBytes)]
	for {
		n, err := in.Read(b)
		if n > 0 {
			c.receive(b[:n], from)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
