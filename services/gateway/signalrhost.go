package gateway

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// HubPath is where the hub is, as the PORTOS text has it.
const HubPath = "/signalr/v1/mainHub"

// hubRequest is the largest body of a client's POST to the hub: it holds all
// messages that waited, each of which has a limit of its own.
const hubRequest = 1 << 20

// newSignalR makes the hub: connections of SignalR clients are connections as any
// other, with a queue, subscriptions and limits, in two protocols more.
func (s *Service) newSignalR() *signalr.Server {
	s.peers = hubPeers{nc: s.nc, id: s.signals.id, in: make(chan *nats.Msg, 256)}
	return signalr.New(signalr.Options{
		Host:  hubHost{s},
		Peers: s.peers,
		Methods: map[string]signalr.Method{
			"Subscribe":   ofWindow((*hubWindow).subscribe),
			"Unsubscribe": ofWindow((*hubWindow).unsubscribe),
		},
		WriteTimeout: s.config.WriteTimeout, MaxRequest: hubRequest,
	})
}

func ofWindow(f func(*hubWindow, context.Context, []json.RawMessage, func()) error) signalr.Method {
	return func(ctx context.Context, c *signalr.Conn, arguments []json.RawMessage, complete func()) error {
		w, ok := c.Window().(*hubWindow)
		if !ok {
			return errClosed
		}
		if err := w.slowDown(ctx); err != nil {
			return err
		}
		return f(w, ctx, arguments, complete)
	}
}

// mountSignalR adds the hub's routes. Pages of other origins send credentials along,
// whether they have any or not, and browsers want that allowed by name.
func (s *Service) mountSignalR(mux *http.ServeMux) {
	allowed := func(h http.HandlerFunc) http.HandlerFunc {
		return s.origin(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(allowCredentials, "true")
			h(w, r)
		})
	}
	mux.HandleFunc("POST "+HubPath+"/negotiate", allowed(s.signalr.Negotiate))
	mux.HandleFunc("GET "+HubPath, allowed(s.signalr.Get))
	mux.HandleFunc("POST "+HubPath, allowed(s.signalr.Post))
	mux.HandleFunc("DELETE "+HubPath, allowed(s.signalr.Delete))
	preflight := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(allowCredentials, "true")
		w.Header().Set(allowMethods, "GET, POST, DELETE")
		s.preflight(w, r)
	}
	mux.HandleFunc("OPTIONS "+HubPath, preflight)
	mux.HandleFunc("OPTIONS "+HubPath+"/negotiate", preflight)
}

// Expects implements process.Expecting.
func (s *Service) Expects(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == HubPath && s.signalr.Expects(r)
}

// hubHost is what the hub's connections stand on.
type hubHost struct{ s *Service }

// Authenticate implements signalr.Host.
func (h hubHost) Authenticate(r *http.Request, fresh bool) (*auth.Principal, error) {
	if fresh {
		return h.s.authenticate(r)
	}
	p, err := h.s.guard.HTTP(r, nil, true)
	if err == nil {
		api.Identify(r.Context(), p)
	}
	return p, err
}

// Enter implements signalr.Host.
func (h hubHost) Enter(c *signalr.Conn, welcome signalr.Message) (signalr.Window, error) {
	codes, err := narrowQuery(c.Query())
	if err != nil {
		return nil, err
	}
	proto := signalrJSON
	if c.Protocol() == hubprotocol.MessagePack {
		proto = signalrMessagePack
	}
	w := &hubWindow{s: h.s, conn: c}
	w.c = h.s.prepare(proto, c.User(), w, codes)
	w.c.id = c.ID()
	if err := h.s.enter(w.c, hubItem(welcome)); err != nil {
		return nil, err
	}
	return w, nil
}

// hubWindow is a connection of the hub, seen from both sides: it is the sink of a
// connection, and the window of a signalr.Conn.
type hubWindow struct {
	s    *Service
	conn *signalr.Conn
	c    *connection

	mu sync.Mutex // taken while subscriptions or the principal change

	paid time.Time // when all calls so far will have been made at gateway.max_frame_rate
}

// callBurst is how many seconds' worth of calls may come at once: a page that starts
// makes all of its own together, a thousand by default.
const callBurst = 10 * time.Second

// slowDown makes a client wait that calls faster than it may. It is called by one
// reader at a time.
func (w *hubWindow) slowDown(ctx context.Context) error {
	if w.s.config.MaxFrameRate == 0 {
		return nil
	}
	now := time.Now()
	if w.paid.Before(now) {
		w.paid = now
	}
	w.paid = w.paid.Add(time.Second / time.Duration(w.s.config.MaxFrameRate))
	if early := w.paid.Sub(now) - callBurst; early > 0 {
		select {
		case <-time.After(early):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func hubItem(m signalr.Message) *item { return &item{body: m.Bytes, counted: m.Counted} }

// Push implements signalr.Window.
func (w *hubWindow) Push(ctx context.Context, m signalr.Message) error {
	return w.c.push(ctx, hubItem(m))
}

// Put implements signalr.Window.
func (w *hubWindow) Put(m signalr.Message) { w.c.answer(hubItem(m)) }

// Shut implements signalr.Window.
func (w *hubWindow) Shut(code fault.Code) { w.c.shut(code) }

// Leave implements signalr.Window.
func (w *hubWindow) Leave() { w.s.endConnection(w.c) }

// Renew implements signalr.Window. A token that lives longer takes the place of the
// one before. What it no longer grants cannot be ended one by one, for which there
// is no message, so the connection ends.
func (w *hubWindow) Renew(p *auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.Expires.After(w.c.who().Expires) {
		return
	}
	kept, ended := w.s.regrant(w.c, p)
	for _, why := range ended {
		w.c.shut(fault.CodeOf(why))
		return
	}
	if err := w.s.renew(w.s.life, w.c, p, kept, ended); err != nil {
		w.c.shut(fault.CodeOf(err))
	}
}

// batches are what write passes items on in.
var batches = sync.Pool{New: func() any { return new([]signalr.Message) }}

func batchOf(items []*item) *[]signalr.Message {
	p := batches.Get().(*[]signalr.Message) //nolint:errcheck,forcetypeassert // nothing else is ever put there
	for _, it := range items {
		*p = append(*p, signalr.Message{Bytes: it.body, Counted: it.counted, Expires: it.expires})
	}
	return p
}

func freeBatch(p *[]signalr.Message) {
	clear(*p)
	*p = (*p)[:0]
	batches.Put(p)
}

// write implements sink.
func (w *hubWindow) write(items []*item) error {
	p := batchOf(items)
	defer freeBatch(p)
	return w.conn.Write(*p)
}

// offer implements offering.
func (w *hubWindow) offer(items []*item) (finish func() error, err error) {
	p := batchOf(items)
	rest, err := w.conn.Offer(*p)
	if rest == nil {
		freeBatch(p)
		return nil, err
	}
	return func() error {
		defer freeBatch(p)
		return rest()
	}, nil
}

// goodbye implements sink.
func (w *hubWindow) goodbye(code fault.Code) { w.conn.Goodbye(code) }

// abort implements sink.
func (w *hubWindow) abort() { w.conn.Abort() }

// remote is whom the audit log names.
func (w *hubWindow) remote() net.Addr {
	addr, _ := netip.ParseAddrPort(w.conn.From()) // net/http's own
	return net.TCPAddrFromAddrPort(addr)
}

// hub is the protocol's language; nil for those that are none of the hub's.
func (p protocol) hub() hubprotocol.Protocol {
	switch p {
	case signalrJSON:
		return hubprotocol.JSON
	case signalrMessagePack:
		return hubprotocol.MessagePack
	default:
		return nil
	}
}

// onEvent is the method of clients that events call (SR3).
const onEvent = "OnEvent"

// appendNotification writes an event under a view's name as a call of OnEvent.
func (d *delivery) appendNotification(b []byte, p protocol, v event.View) []byte {
	n, ok := v.Notification(d.ev)
	if !ok {
		return b
	}
	return p.hub().Append(b, hubprotocol.Message{Kind: hubprotocol.Invocation, Target: onEvent, Arguments: []json.RawMessage{n}})
}
