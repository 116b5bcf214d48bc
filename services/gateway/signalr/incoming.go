package signalr

import (
	"errors"
	"io"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// MaxMessage is how many bytes one hub message of a client may have (.NET:
// MaximumReceiveMessageSize). Frames and requests have no such limit: a client
// puts all that waits into one.
const MaxMessage = 32 << 10

// receive takes a piece of what the client sends, and returns when the calls that
// end in it are done: whoever calls too fast waits. from is where it comes from,
// nil = the only source there is.
func (c *Conn) receive(b []byte, from *source) {
	c.in.Lock()
	defer c.in.Unlock()
	if from == nil {
		_, from = c.current()
	}
	c.received.Store(now().Unix())
	if err := c.take(b, from); err != nil {
		c.fail(err)
	}
}

// post takes the body of a request, one after the other. Like a frame it may hold all
// that waited, so it has no limit; each message has. Code invalid_request when it breaks
// off; if that leaves half a message, what follows could not be read, so the connection
// ends.
func (c *Conn) post(body io.Reader) error {
	c.posts.Lock()
	defer c.posts.Unlock()
	err := c.readPieces(untilOver{c, body}, nil)
	if err == nil {
		return nil
	}
	err = fault.Wrap(fault.InvalidRequest, err, "body: breaks off")
	c.in.Lock()
	defer c.in.Unlock()
	if _, from := c.current(); from != nil && len(from.partial) > 0 {
		c.fail(err)
	}
	return err
}

// untilOver ends with the connection: nobody has to hear out who sends without end.
type untilOver struct {
	c *Conn
	io.Reader
}

func (r untilOver) Read(b []byte) (int, error) {
	if r.c.over.Load() {
		return 0, io.EOF
	}
	return r.Reader.Read(b)
}

// take cuts messages out of the stream and handles them one after the other. What
// is not all there yet is kept.
func (c *Conn) take(b []byte, from *source) error {
	if from == nil {
		return nil
	}
	piecemeal := len(from.partial) > 0
	if piecemeal {
		b = append(from.partial, b...)
		from.partial = b // grown, not copied again if this is not the end of it either
	}
	for !c.over.Load() {
		if _, current := c.current(); current != from { // the client has come back on another socket
			return nil
		}
		cut := hubprotocol.CutHandshake
		if c.protocol != nil {
			cut = c.protocol.Cut
		}
		message, rest, err := cut(b, MaxMessage)
		switch {
		case errors.Is(err, hubprotocol.ErrTooLarge):
			return fault.New(fault.FrameTooLarge, "a hub message may have %d bytes", MaxMessage)
		case err != nil:
			return wrong(err)
		case message == nil && piecemeal:
			return nil
		case message == nil:
			from.partial = append([]byte(nil), b...) // of its own size: an idle connection keeps no more
			return nil
		}
		piecemeal = false
		if err := c.message(message, from); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// wrong makes a complaint of the protocol a fault.
func wrong(err error) error { return fault.Wrap(fault.InvalidFrame, err, "%s", err) }

func (c *Conn) message(b []byte, from *source) error {
	if c.protocol == nil {
		return c.shake(b)
	}
	m, err := c.protocol.Parse(b)
	if err != nil {
		return wrong(err)
	}
	if window := c.Window(); window.Pace(c.ctx) != nil {
		return nil // it has ended
	}
	c.received.Store(now().Unix()) // who had to wait has not gone
	if c.replay != nil {
		fresh, err := c.admit(m, from)
		if err != nil || !fresh {
			return err
		}
	}
	switch m.Kind {
	case hubprotocol.Ping:
		c.pinged.Store(true)
	case hubprotocol.Invocation, hubprotocol.StreamInvocation:
		c.call(m)
	case hubprotocol.Close:
		c.depart()
	default: // answers to calls that we never make, streams that no method takes, and what we do not know
	}
	return nil
}

// shake answers the handshake. The answer is the first thing in the queue, so that
// nothing overtakes it.
func (c *Conn) shake(b []byte) error {
	h, err := hubprotocol.ParseHandshake(b)
	if err != nil {
		return wrong(err)
	}
	if h.Protocol.Binary() && c.way == eventStream {
		return fault.New(fault.InvalidFrame, "%s needs a transport for bytes, and %s is for text", h.Protocol.Name(), c.way)
	}
	if h.Version < 2 {
		c.mu.Lock()
		c.replay = nil // the client does not know how to come back
		c.mu.Unlock()
	}
	l, _ := c.current()
	if socket, ok := l.(*socketLine); ok {
		socket.binary.Store(h.Protocol.Binary())
	}
	c.protocol = h.Protocol
	window, err := c.server.o.Host.Enter(c, Message{Bytes: hubprotocol.AppendHandshakeAnswer(nil, nil)})
	if err != nil {
		c.protocol = nil
		return err
	}
	c.query = nil
	c.mu.Lock()
	c.window = window
	c.mu.Unlock()
	return nil
}

// fail ends the connection for what the client sent: by Close, or where there has
// been no handshake, by the answer to it.
func (c *Conn) fail(err error) {
	c.over.Store(true)
	c.reason.Store(&err)
	if window := c.Window(); window != nil {
		window.Shut(fault.CodeOf(err))
		return
	}
	say := func() {
		c.out.Lock()
		defer c.out.Unlock()
		c.part([]Message{{Bytes: hubprotocol.AppendHandshakeAnswer(nil, errors.New(told(err)))}})
	}
	if c.way != longPoll {
		say()
		return
	}
	c.server.list.start(say) // aside: it is fetched by a poll, maybe once this request is answered
}

// told is what clients are told of an error: our code comes first in it.
func told(err error) string {
	return string(fault.CodeOf(err)) + ": " + fault.From(err).Error()
}

// depart ends the connection because the client said so.
func (c *Conn) depart() {
	c.over.Store(true)
	c.server.list.forget(c)
	if l, _ := c.current(); l != nil && c.way == webSocket {
		l.close() // its reader sees the client go
		return
	}
	c.end()
}
