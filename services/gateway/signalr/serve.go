package signalr

import (
	"net/http"
	"strings"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// way is how a connection is carried; its first request decides.
type way uint8

const (
	webSocket way = iota
	eventStream
	longPoll
)

func (w way) String() string {
	return [...]string{"WebSockets", "ServerSentEvents", "LongPolling"}[w]
}

// wayOf says what a GET asks for.
func wayOf(r *http.Request) way {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return webSocket
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		return eventStream
	}
	return longPoll
}

// authenticate asks the host, once the server serves.
func (s *Server) authenticate(r *http.Request, fresh bool) (*auth.Principal, error) {
	if err := s.seal.ready(); err != nil {
		return nil, err
	}
	return s.o.Host.Authenticate(r, fresh)
}

// Get is GET of the hub: it connects, or polls.
func (s *Server) Get(w http.ResponseWriter, r *http.Request) {
	var err error
	if r.Method == http.MethodHead { // which net/http takes for a GET, and this one would open something
		w.Header().Set("Allow", "GET, POST, DELETE")
		err = fault.New(fault.MethodNotAllowed, "the hub has no HEAD")
	} else {
		err = s.get(w, r)
	}
	if err != nil {
		refuse(w, r, err)
	}
}

// refuse answers an error. The header says which one where a page sees no body.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Belfry-Fault", string(fault.CodeOf(err)))
	api.WriteError(w, r, err)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	// With an id it was counted as a call when it negotiated; and how many polls there
	// are is up to the events.
	query, asks := r.URL.Query(), wayOf(r)
	token := query.Get("id")
	who, err := s.authenticate(r, token == "")
	if asks == longPoll && fault.CodeOf(err) == fault.TokenRevoked && s.parting(w, token, err) {
		return nil
	}
	if err != nil {
		return err
	}
	if token == "" && asks == webSocket { // skipNegotiation
		return s.serveWebSocket(w, r, newConn(s, who, asks, newTicket(who, false, now()), query, r.RemoteAddr))
	}
	c, t, err := s.look(r.Context(), token, who, asks)
	switch {
	case err != nil && asks == longPoll && fault.CodeOf(err) == fault.ConnectionUnknown && s.list.had(token):
		w.WriteHeader(http.StatusNoContent) // how a client that polls is told that it is over
		return nil
	case err != nil:
		return err
	case c == nil:
		c = newConn(s, who, asks, t, query, r.RemoteAddr)
	case c.way != asks:
		return fault.Field(fault.InvalidRequest, "id", "its connection uses %s, and cannot change to %s", c.way, asks)
	case asks == longPoll:
		c.renew(who)
		return c.poll(w, r)
	case asks == webSocket && c.stateful():
		return s.returnWebSocket(w, r, c, who)
	default:
		return errInUse
	}
	switch asks {
	case webSocket:
		return s.serveWebSocket(w, r, c)
	case eventStream:
		return s.serveStream(w, r, c)
	default:
		return s.firstPoll(w, c)
	}
}

// Post is POST of the hub: what a client of an event stream or of long polls
// sends. Posts of one connection are taken one after the other.
func (s *Server) Post(w http.ResponseWriter, r *http.Request) {
	c, err := s.existing(r)
	if err == nil && c.way == webSocket {
		w.Header().Set("Allow", "GET")
		err = fault.New(fault.MethodNotAllowed, "the connection uses WebSockets: send on it")
	}
	if err == nil {
		err = c.post(r.Body)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
}

// Delete is DELETE of the hub: a client that polls has had enough.
func (s *Server) Delete(w http.ResponseWriter, r *http.Request) {
	c, err := s.existing(r)
	if err == nil && c.way != longPoll {
		err = fault.Field(fault.InvalidRequest, "id", "its connection uses %s, which ends without a request", c.way)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	c.end()
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusAccepted)
}

// existing is the connection of a request that cannot open one.
func (s *Server) existing(r *http.Request) (*Conn, error) {
	who, err := s.authenticate(r, false)
	if err != nil {
		return nil, err
	}
	c, _, err := s.look(r.Context(), r.URL.Query().Get("id"), who, longPoll)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fault.Field(fault.ConnectionUnknown, "id", "is not connected: GET it first")
	}
	c.renew(who)
	return c, nil
}
