package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// A token that runs out ends the connection, which may come back with another; a
// later request with one that lives longer keeps it.
func TestSR1TokenExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short := w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: 2 * time.Second})
	c := w.hubOpen(short)
	query := w.hubNegotiate(short)
	w.call("GET", query, short, "")
	w.call("POST", query, short, `{"protocol":"json","version":1}`+"\x1e")
	w.call("POST", query, w.token(), `{"type":6}`+"\x1e") // the client has a new one
	if m := c.next(); m.Type != 7 || m.Error != "token_expired" || !m.AllowReconnect {
		t.Errorf("%+v", m)
	}
	if b, err := c.read(); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("%s %v", b, err)
	}
	bustest.Eventually(t, patience, "it has left", func() bool { return len(w.s.hub.all()) == 1 })
	if status, body := w.call("GET", query, w.token(), ""); status != 200 || !strings.HasPrefix(body, "{}\x1e") {
		t.Errorf("the renewed one: %d %q", status, body)
	}
	// A token that grants less ends what it no longer grants.
	w.call("POST", query, w.token(), `{"type":1,"target":"Subscribe","arguments":[{"e":"portos.resources.changed"}]}`+"\x1e")
	less := w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: mustGrants(t, "subscribe:x"), TTL: 5 * time.Hour})
	w.call("POST", query, less, `{"type":6}`+"\x1e")
	if _, body := w.call("GET", query, w.token(), ""); body != `{"type":7,"error":"grant_missing"}`+"\x1e" {
		t.Errorf("%q", body)
	}
}
