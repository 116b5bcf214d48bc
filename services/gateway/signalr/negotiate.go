package signalr

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
)

// offer is one way to connect.
type offer struct {
	Transport string   `json:"transport"`
	Formats   []string `json:"transferFormats"`
}

// offers are all, in the order in which a client tries them.
var offers = []offer{
	{"WebSockets", []string{"Text", "Binary"}},
	{"ServerSentEvents", []string{"Text"}},
	{"LongPolling", []string{"Text", "Binary"}},
}

// negotiated is the answer. It must never have a member ProtocolVersion, by which
// clients know the SignalR of before ASP.NET Core.
type negotiated struct {
	Error           string  `json:"error,omitempty"`
	Version         int     `json:"negotiateVersion"`
	ConnectionID    string  `json:"connectionId,omitempty"`
	ConnectionToken string  `json:"connectionToken,omitempty"`
	Transports      []offer `json:"availableTransports,omitempty"`
	Stateful        bool    `json:"useStatefulReconnect,omitempty"` // unasked, it makes clients refuse
}

// maxNegotiate is the highest version there is.
const maxNegotiate = 1

// Negotiate is POST …/negotiate. It keeps nothing: what it promises is in the
// token. Version 0 knows one id, which is then the token.
func (s *Server) Negotiate(w http.ResponseWriter, r *http.Request) {
	who, err := s.authenticate(r, true)
	if err == nil && !s.list.serving() {
		err = errDraining
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	query := r.URL.Query()
	version := 0
	if asked := query.Get("negotiateVersion"); asked != "" {
		if version, err = strconv.Atoi(asked); err != nil || version < 0 {
			api.WriteJSON(w, http.StatusOK, negotiated{Error: "negotiateVersion: is not a whole number of 0 or more"})
			return
		}
	}
	version = min(version, maxNegotiate)
	t := newTicket(who, version > 0 && strings.EqualFold(query.Get("useStatefulReconnect"), "true"), time.Now())
	answer := negotiated{Version: version, ConnectionID: t.id(), ConnectionToken: s.seal.write(t), Transports: offers, Stateful: t.stateful}
	if version == 0 {
		answer.ConnectionID, answer.ConnectionToken = answer.ConnectionToken, ""
	}
	api.WriteJSON(w, http.StatusOK, answer)
}
