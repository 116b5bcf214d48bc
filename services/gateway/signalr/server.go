package signalr

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// Host is what connections stand on.
type Host interface {
	// Authenticate says who sends a request. fresh: it opens something, and counts as
	// a call of its caller's.
	Authenticate(r *http.Request, fresh bool) (*auth.Principal, error)
	// Enter makes a connection whose handshake is done one that receives events, with
	// welcome as the first message it is written. The codes of errors are draining and
	// those of limits; the client is told.
	Enter(c *Conn, welcome Message) (Window, error)
}

// Window is an entered connection, as its host keeps it. Its host writes by the
// methods Write, Goodbye and Abort of Conn.
type Window interface {
	// Push queues what waits for room in the queue, which is how a client that does not
	// read answers slows itself down.
	Push(ctx context.Context, m Message) error
	// Put queues what may not wait: pings, and the answer that goes before an event.
	Put(m Message)
	// Shut ends the connection, by Goodbye, after what is queued.
	Shut(code fault.Code)
	// Pace waits while the client sends messages faster than it may. Errors are the
	// context's. It is called by one reader at a time.
	Pace(ctx context.Context) error
	// Renew is called when a later request shows a token, maybe a newer one of the same
	// user.
	Renew(p *auth.Principal)
	// Leave is the last call: nothing of the connection runs any more.
	Leave()
}

// Message is what Window and Conn pass on: one or several whole hub messages in
// the connection's protocol.
type Message struct {
	Bytes   []byte
	Counted int   // how many of them a stateful connection counts
	Expires int64 // unix nanoseconds after which nobody shall have it; 0 = never
}

func (m Message) expired(at time.Time) bool { return m.Expires != 0 && at.UnixNano() >= m.Expires }

// unexpired are those of messages that have not expired, in their order.
func unexpired(messages []Message) []Message {
	at := now()
	return slices.DeleteFunc(messages, func(m Message) bool { return m.expired(at) })
}

// Method is a method of the hub. Its call is answered when it returns, or earlier
// by complete, where the answer must go before what the call sets off. An error is
// told to the caller if it is a fault; ErrArguments that its arguments do not fit.
type Method func(ctx context.Context, c *Conn, arguments []json.RawMessage, complete func()) error

// Peers know which replica has a connection that is not here.
type Peers interface {
	// Claim says that this replica has the connection, until it is released.
	Claim(id string) (release func(), err error)
	// Owner names the replica that has it; "" = none.
	Owner(ctx context.Context, id string) (string, error)
}

// Options configures a Server. All are required.
type Options struct {
	Host         Host
	Methods      map[string]Method // by name, compared ignoring case
	Peers        Peers
	WriteTimeout time.Duration // of one write to a socket
}

// Server is the hub. Its handlers answer 503 until it is given a key.
type Server struct {
	o       Options
	methods map[string]Method // by lower-case name

	life context.Context // ends when connections must
	end  context.CancelFunc
	list *registry
	seal seal
}

// New makes a server that serves nothing yet.
func New(o Options) *Server {
	s := &Server{o: o, methods: map[string]Method{}, list: newRegistry()}
	for name, m := range o.Methods {
		s.methods[strings.ToLower(name)] = m
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Start takes the key that all replicas share, at least 32 bytes, and serves.
func (s *Server) Start(key []byte) { s.seal.open(key) }

// Drain refuses newcomers, and ends the connections that have not entered; the
// others are for their host to shut.
func (s *Server) Drain() {
	for _, c := range s.list.close() {
		if !c.entered() {
			c.end()
		}
	}
}

// Expects says whether a GET of the hub is a poll that has to come to hear that its
// connection ends.
func (s *Server) Expects(r *http.Request) bool { return s.list.polls(r.URL.Query().Get("id")) }

// Stop ends what is left at once, and waits for it.
func (s *Server) Stop() {
	s.Drain()
	s.end()
	for _, c := range s.list.all() {
		c.end()
	}
	s.list.work.Wait()
}

// append writes one message in the connection's protocol.
func (c *Conn) append(m hubprotocol.Message) Message {
	n := 0
	if m.Kind.Counted() {
		n = 1
	}
	return Message{Bytes: c.protocol.Append(nil, m), Counted: n}
}
