package signalr

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// line is what carries a connection's messages: a socket, an event stream, or
// whichever poll comes next.
type line interface {
	// send writes whole messages as one frame, event or body.
	send(messages []Message) error
	// close ends it in order, after what was sent. Whoever serves it ends the
	// connection then.
	close()
	// abort ends it at once.
	abort()
}

// source is where bytes of the client come from: a message may be cut between two
// pieces of one source, never between two sources.
type source struct {
	partial []byte
	resumes bool // a client has come back, and has not said yet where it goes on
}

// Conn is one connection of a client, whatever carries it. Reading it are in (one
// piece after the other) and the clock; writing it is its window's queue.
type Conn struct {
	server  *Server
	way     way
	token   string // "" = opened without negotiating
	id      string
	expires int64 // of its ticket
	slot    int   // on the clock
	born    int64 // unix seconds
	from    string

	ctx    context.Context // of its calls
	cancel context.CancelFunc

	query    url.Values            // of the first request, until it has entered
	posts    sync.Mutex            // taken while a request is read, whose pieces belong together
	in       sync.Mutex            // taken while a piece is read, and its calls are done
	out      sync.Mutex            // taken while something is written
	protocol hubprotocol.Protocol  // once the handshake is done
	replay   *replay               // of a stateful connection, else nil; the handshake may take it away
	pinged   atomic.Bool           // the client sends pings: if they stop, it has gone
	received atomic.Int64          // unix seconds of the last sign of life
	sent     atomic.Int64          // … and of ours
	over     atomic.Bool           // what still comes in counts no more
	reason   atomic.Pointer[error] // why we end it, in more words than a code's

	mu     sync.Mutex
	user   *auth.Principal
	window Window  // once it has entered
	line   line    // nil = not connected now
	source *source // of line
	away   int64   // unix seconds since when a stateful client is

	release func() // what its claim is released by
	ending  sync.Once
}

func now() time.Time { return time.Now() }

func newConn(s *Server, who *auth.Principal, w way, t ticket, query url.Values, from string) *Conn {
	c := &Conn{server: s, way: w, from: from, token: query.Get("id"), query: query, id: t.id(), expires: t.expires, user: who, born: now().Unix(), release: func() {}}
	if t.stateful && w == webSocket {
		c.replay = newReplay()
	}
	c.received.Store(c.born)
	c.sent.Store(c.born)
	c.ctx, c.cancel = context.WithCancel(s.life)
	return c
}

// ID is the connection's public name.
func (c *Conn) ID() string { return c.id }

// User is who the connection belongs to.
func (c *Conn) User() *auth.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// From is the network address that the first request came from.
func (c *Conn) From() string { return c.from }

// Query is what the client asked for when it connected. It is for Enter.
func (c *Conn) Query() url.Values { return c.query }

// Protocol is what the handshake has chosen.
func (c *Conn) Protocol() hubprotocol.Protocol { return c.protocol }

// Window is what the host made of the connection; nil before it has entered.
func (c *Conn) Window() Window {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.window
}

func (c *Conn) entered() bool { return c.Window() != nil }

// stateful says whether the client may come back on another socket.
func (c *Conn) stateful() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replay != nil
}

// connect makes the connection known, and l what carries it. Codes draining,
// connection_in_use, unavailable.
func (c *Conn) connect(l line, from *source) error {
	if err := c.server.list.add(c); err != nil {
		return err
	}
	if c.token != "" && (c.way != webSocket || c.replay != nil) { // it will be asked for again
		release, err := c.server.o.Peers.Claim(c.id)
		if err != nil {
			c.end()
			return fault.Wrap(fault.Unavailable, err, "the hub cannot tell other replicas of the connection")
		}
		c.mu.Lock()
		c.release = release
		c.mu.Unlock()
		if c.over.Load() { // it has ended meanwhile, and may have found nothing to release
			release()
			return errDraining
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line, c.source = l, from
	return nil
}

// current is what carries the connection now.
func (c *Conn) current() (line, *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line, c.source
}

// renew takes the token of a later request of the same user.
func (c *Conn) renew(who *auth.Principal) {
	c.mu.Lock()
	c.user = who
	window := c.window
	c.mu.Unlock()
	if window != nil {
		window.Renew(who)
	}
}

// Write writes messages in order, as few frames as can be. The window's queue calls
// it, and Goodbye, from one goroutine at a time.
func (c *Conn) Write(messages []Message) error {
	c.out.Lock()
	defer c.out.Unlock()
	if c.replay != nil {
		return c.writeKept(messages)
	}
	l, _ := c.current()
	if l == nil {
		return errOver
	}
	err := l.send(messages)
	c.sent.Store(now().Unix())
	return err
}

// Offer is Write for who must not wait for the client: it writes what a socket takes
// at once. A rest that is not nil writes what is left, and waits; it must be called,
// from any goroutine, and nothing else is written until it has returned.
func (c *Conn) Offer(messages []Message) (rest func() error, err error) {
	l, _ := c.current()
	socket, ok := l.(*socketLine)
	if !ok || c.stateful() || !c.out.TryLock() {
		return func() error { return c.Write(messages) }, nil
	}
	left, err := socket.offer(messages)
	c.sent.Store(now().Unix())
	if left == nil {
		c.out.Unlock()
		return nil, err
	}
	return func() error {
		defer c.out.Unlock()
		return left()
	}, nil
}

var errOver = fault.New(fault.ConnectionUnknown, "the connection has ended")

// Goodbye tells the client why the connection ends, and whether coming back will
// help, and ends it in order.
func (c *Conn) Goodbye(code fault.Code) {
	c.over.Store(true)
	c.out.Lock()
	defer c.out.Unlock()
	c.part([]Message{c.append(c.lastWords(code))})
}

// lastWords is the message Close.
func (c *Conn) lastWords(code fault.Code) hubprotocol.Message {
	m := hubprotocol.Message{Kind: hubprotocol.Close, AllowReconnect: helps(code)}
	if code != fault.Draining { // which is nobody's error
		m.Error = string(code)
		if reason := c.reason.Load(); reason != nil {
			m.Error = told(*reason)
		}
	}
	return m
}

// helps says whether a client that comes back will be better off.
func helps(code fault.Code) bool {
	switch code {
	case fault.TokenExpired: // its factory has another
		return true
	case fault.GrantMissing, fault.TenantForbidden: // of one subscription; the others it may have again
		return true
	default:
		return fault.Reconnects(code.CloseCode())
	}
}

// part sends the last messages, if somebody is there, and ends the connection in
// order. The token opens nothing from before the client hears of it: a stateful
// one would come back to the same connection at once. One that polls has to come
// for it. Under out.
func (c *Conn) part(last []Message) {
	if c.way != longPoll {
		c.server.list.forget(c)
	}
	l, _ := c.current()
	if l == nil || l.send(last) != nil {
		c.end()
		return
	}
	l.close()
	if c.way == longPoll { // nobody serves it between two polls
		c.end()
	}
}

// End ends the connection for a reason that the client is told, after what is queued.
func (c *Conn) End(reason error) { c.fail(reason) }

// Abort ends the connection at once. It does not wait.
func (c *Conn) Abort() { c.end() }

// end ends the connection, once. What has to wait for others runs by itself.
func (c *Conn) end() {
	c.ending.Do(func() {
		c.over.Store(true)
		c.cancel()
		c.server.list.remove(c)
		go c.finish()
	})
}

// finish waits for the call in progress, which has been cancelled, and leaves.
func (c *Conn) finish() {
	defer c.server.list.work.Done()
	if l, _ := c.current(); l != nil {
		l.abort()
	}
	c.in.Lock()
	window := c.Window()
	c.in.Unlock()
	if window != nil {
		window.Leave()
	}
	c.mu.Lock()
	release := c.release
	c.mu.Unlock()
	release()
}
