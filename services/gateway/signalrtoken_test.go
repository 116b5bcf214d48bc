package gateway

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// hubUser is a token of anna for AA that lives so long.
func (w *world) hubUser(life time.Duration, grants ...string) string {
	w.t.Helper()
	gs, err := auth.ParseGrants(grants)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: gs, TTL: life})
}

// A token that runs out ends the connection, which may come back with another; a
// later request with one that lives longer keeps it.
func TestSR1TokenExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short := w.hubUser(time.Hour, "subscribe:*")
	c := w.hubOpen(short)
	query := w.hubNegotiate(short)
	w.call("GET", query, short, "")
	w.call("POST", query, short, `{"protocol":"json","version":1}`+"\x1e")
	w.call("POST", query, w.hubUser(2*time.Hour, "subscribe:*"), `{"type":6}`+"\x1e") // the client has a new one
	for _, one := range w.s.hub.all() {                                               // the hour is over
		w.s.wheel.mu.Lock()
		one.expires -= 3600
		w.s.wheel.mu.Unlock()
	}
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
}

// A newer token that grants less ends the connection, for there is no message that
// would end one subscription. The client is told which, and that it may come back for
// the others. One that grants what is asked for changes nothing.
func TestSR1TokenGrantsLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, other, less := w.hubUser(time.Hour, "subscribe:*"), w.hubUser(2*time.Hour, "subscribe:devices", "subscribe:tickets"), w.hubUser(3*time.Hour, "subscribe:tickets")
	query := w.hubNegotiate(first)
	poll := func(token string) string {
		_, body := w.call("GET", query, token, "")
		return body
	}
	send := func(token, text string) { w.call("POST", query, token, text+"\x1e") }
	poll(first)
	send(first, `{"protocol":"json","version":1}`)
	poll(first)
	for n, name := range []string{"tickets", "devices"} {
		send(first, fmt.Sprintf(`{"type":1,"invocationId":"%d","target":"Subscribe","arguments":[{"e":"portos.resources.changed","r":[{"n":"%s"}]}]}`, n, name))
		poll(first)
	}
	send(other, `{"type":6}`)
	w.publish("evt.AA.devices.created", `{}`)
	if body := poll(other); !strings.Contains(body, `"OnEvent"`) {
		t.Errorf("a token that grants the same: %q", body)
	}
	send(less, `{"type":6}`)
	const want = `{"type":7,"error":"grant_missing: the newer token does not allow the subscription to portos.resources.changed: the token has no grant for subscribe:devices","allowReconnect":true}` + "\x1e"
	if body := poll(less); body != want {
		t.Errorf("%q", body)
	}
}

// Every request of the hub needs a token that is good, wherever it is written.
func TestSR1EveryRequestIsAuthenticated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.token()
	query := w.hubNegotiate(good)
	w.call("GET", query, good, "")
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	expired := w.hubUser(time.Second, "subscribe:*")
	bustest.Eventually(t, patience, "it has expired", func() bool {
		_, body := w.call("POST", HubPath+"/negotiate", expired, "")
		return strings.Contains(body, "token_expired")
	})
	for name, c := range map[string]struct {
		token string
		code  fault.Code
	}{
		"missing":  {"", fault.TokenMissing},
		"forged":   {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), fault.TokenInvalid},
		"unsigned": {unsigned, fault.TokenInvalid},
		"garbage":  {"garbage", fault.TokenInvalid},
		"expired":  {expired, fault.TokenExpired},
	} {
		for _, ask := range [][]string{
			{"POST", HubPath + "/negotiate?negotiateVersion=1"},
			{"GET", query},
			{"GET", query, "Accept", "text/event-stream"},
			{"GET", query, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="},
			{"GET", HubPath, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="},
			{"POST", query},
			{"DELETE", query},
		} {
			if status, body := w.call(ask[0], ask[1], c.token, "", ask[2:]...); status != 401 || !strings.Contains(body, `"`+string(c.code)+`"`) {
				t.Errorf("%s, %v: %d %s", name, ask, status, body)
			}
			in := ask[1] + "?access_token=" + c.token
			if strings.Contains(ask[1], "?") {
				in = ask[1] + "&access_token=" + c.token
			}
			if status, body := w.call(ask[0], in, "", "", ask[2:]...); status != 401 || !strings.Contains(body, `"`+string(c.code)+`"`) {
				t.Errorf("%s in the query, %v: %d %s", name, ask, status, body)
			}
		}
	}
	for _, method := range []string{"PUT", "PATCH", "HEAD"} {
		if status, _ := w.call(method, query, good, ""); status != 405 {
			t.Errorf("%s: %d", method, status)
		}
	}
	if status, _ := w.call("GET", HubPath+"/negotiate", good, ""); status != 405 {
		t.Errorf("GET negotiate: %d", status)
	}
	// And all that did no harm.
	if status, _ := w.call("DELETE", query, good, ""); status != 202 {
		t.Errorf("delete: %d", status)
	}
}
