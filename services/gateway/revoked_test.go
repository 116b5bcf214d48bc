package gateway

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW5: who is taken back while a window is open loses it at once, with a code that
// says so, and nobody else does. Nothing looks from time to time: a window that still
// waits after the patience of a busy machine has been forgotten.
func TestGW5RevokedWhileOpen(t *testing.T) {
	t.Parallel()
	store, revocations := revocations(t)
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	var audit record
	w := newWorld(t, func(o *Options, _ *[]bustest.Option) {
		o.Env.Guard = auth.NewGuard(auth.GuardOptions{Tokens: tokens, Revocations: revocations})
	}, audited(&audit))
	of := func(user string) string {
		return w.sign(auth.Claims{Subject: user, Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour})
	}
	lost := of("anna")
	p, err := tokens.Verify(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(r auth.Revocation) {
		t.Helper()
		if err := auth.Revoke(t.Context(), store, r, time.Hour); err != nil {
			t.Fatal(err)
		}
	}

	stolen, own, bert, clara := w.open(lost), w.open(of("anna")), w.open(of("bert")), w.open(of("clara"))
	feed := w.stream("/v1/sse", of("bert"))
	feed.next() // its position
	revoke(auth.Revocation{TokenID: p.TokenID})
	if code, reason := stolen.closed(); code != websocket.StatusCode(4533) || reason != string(fault.TokenRevoked) {
		t.Errorf("a token: %d %s", code, reason)
	}
	if code, _ := w.dial(lost).closed(); code != websocket.StatusCode(fault.TokenRevoked.CloseCode()) {
		t.Errorf("come back with it: %d", code)
	}
	if status, body := w.call(http.MethodGet, "/v1/events", lost, ""); status != http.StatusUnauthorized || !strings.Contains(body, "token_revoked") {
		t.Errorf("over HTTP: %d %s", status, body)
	}

	revoke(auth.Revocation{User: "bert", Tenant: "AA", Before: time.Now().Add(time.Second)})
	if code, _ := bert.closed(); code != websocket.StatusCode(fault.TokenRevoked.CloseCode()) {
		t.Errorf("a user: %d", code)
	}
	if e := feed.next(); e.name != "close" || e.data != `{"code":"token_revoked","reconnect":false}` {
		t.Errorf("a user's stream: %+v", e)
	}
	if n := strings.Count(audit.String(), `"what":"connection","tenant":"AA","outcome":"token_revoked"`); n != 3 {
		t.Errorf("%d of 3 connections that were closed are in the audit log:\n%s", n, audit.String())
	}
	for name, c := range map[string]*window{"another token of anna": own, "clara": clara} {
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// revocations are followed in a store of their own.
func revocations(t *testing.T) (jetstream.JetStream, *auth.Revocations) {
	t.Helper()
	store := bustest.Start(t).Bus().JS
	r := auth.NewRevocations(store, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-r.Ready()
	return store, r
}

// A client that polls has nothing open while its token is taken back. Refused, it would
// try again for as long as it may: so its next poll is told that it need not.
func TestSR1RevokedBetweenPolls(t *testing.T) {
	t.Parallel()
	store, revocations := revocations(t)
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options, _ *[]bustest.Option) {
		o.Env.Guard = auth.NewGuard(auth.GuardOptions{Tokens: tokens, Revocations: revocations})
	})
	token := w.hubUser(time.Hour, "subscribe:*")
	query, unshaken := w.hubNegotiate(token), w.hubNegotiate(token)
	w.call("GET", query, token, "")
	w.call("GET", unshaken, token, "")
	w.call("POST", query, token, `{"protocol":"json","version":1}`+"\x1e")
	w.call("GET", query, token, "") // the answer to it
	if err := auth.Revoke(t.Context(), store, auth.Revocation{User: "anna", Tenant: "AA", Before: time.Now().Add(time.Hour)}, time.Hour); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, patience, "the token is refused", func() bool {
		_, body := w.call("POST", HubPath+"/negotiate", token, "")
		return strings.Contains(body, "token_revoked")
	})
	if status, body := w.call("GET", query, token, ""); status != http.StatusOK || body != `{"type":7,"error":"token_revoked"}`+"\x1e" {
		t.Errorf("the next poll: %d %q", status, body)
	}
	for name, query := range map[string]string{"it again": query, "without a handshake": unshaken, "of no connection": HubPath + "?id=x"} {
		if status, body := w.call("GET", query, token, ""); status != http.StatusUnauthorized || !strings.Contains(body, "token_revoked") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
