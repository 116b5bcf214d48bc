package gateway

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/services/gateway/signalr"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// HubPath is where the hub is, as the PORTOS text has it.
const HubPath = "/signalr/v1/mainHub"

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
		WriteTimeout: s.config.WriteTimeout,
	})
}

func ofWindow(f func(*hubWindow, context.Context, []json.RawMessage, func()) error) signalr.Method {
	return func(ctx context.Context, c *signalr.Conn, arguments []json.RawMessage, complete func()) error {
		w, ok := c.Window().(*hubWindow)
		if !ok {
			return errClosed
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
