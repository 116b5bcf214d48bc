package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// record is an audit log that can be read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func audited(r *record) worldOption {
	return func(o *Options, _ *[]bustest.Option) { o.Env.Audit = api.NewAuditLog(r) }
}

func limited(c api.LimitConfig) worldOption {
	return func(o *Options, _ *[]bustest.Option) {
		o.Env.Limits = api.NewLimits(c, o.Env.Registry, func() time.Time { return time.Unix(1_800_000_000, 0) }) // a clock that stands
	}
}

// Whatever a caller does counts: publishing, reading, windows and streams, and a
// window that is refused is refused before its handshake.
func TestRateLimited(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit), limited(api.LimitConfig{PrincipalRate: 0.5, PrincipalBurst: 4}))
	token := w.token()
	other := w.sign(auth.Claims{Subject: "bert", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour})
	event := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "invoices.created", "Content-Type", "application/json"}

	first := w.open(token)
	stream := w.stream("/v1/sse", token)
	stream.next()
	if status, body := w.call("POST", "/v1/events", token, `{}`, event...); status != 200 {
		t.Fatal(status, body)
	}
	if status, body := w.call("GET", "/v1/events", token, ""); status != 200 {
		t.Fatal(status, body)
	}
	for _, refused := range []string{"POST /v1/events", "GET /v1/events", "GET /v1/sse"} {
		method, path, _ := strings.Cut(refused, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, w.http.URL+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %s, Retry-After %q", refused, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	_, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+token, &websocket.DialOptions{Subprotocols: []string{Subprotocol}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("a window: %v", err)
	}
	// Who is connected stays so, and others are not concerned.
	if f := first.ask(`{"id":"1","ping":{}}`); f.Pong == nil {
		t.Errorf("the open window: %+v", f)
	}
	if status, _ := w.call("GET", "/v1/events", other, ""); status != 200 {
		t.Errorf("another caller: %d", status)
	}
	for _, what := range []string{"POST /v1/events", "GET /v1/events", "GET /v1/sse", "GET /v1/ws"} {
		if !strings.Contains(audit.String(), `"what":"`+what+`","tenant":"AA","outcome":"rate_limited"`) {
			t.Errorf("%s is not in the audit log:\n%s", what, audit.String())
		}
	}
}

func TestRateLimitOfATenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(api.LimitConfig{TenantRate: 1, TenantBurst: 1}))
	both := w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA", "BB"}, Grants: auth.Everything(), TTL: time.Hour})
	for _, c := range []struct {
		tenant string
		status int
	}{{"AA", 200}, {"AA", 429}, {"BB", 200}, {"BB", 429}} {
		if status, body := w.call("GET", "/v1/events?tenant="+c.tenant, both, ""); status != c.status {
			t.Errorf("%s: %d %s", c.tenant, status, body)
		}
	}
}

// Everything that is refused is recorded with who and what, and with nothing
// that was sent: no token, whether good or bad, no payload, no query.
func TestRefusalsAreAudited(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit))
	narrow, bad := w.token("subscribe:invoices"), "eyJhbGciOiJub25lIn0.e30."
	secret := []string{narrow, bad, "hunter2", strings.Split(narrow, ".")[2]}

	event := []string{"ce-specversion", "1.0", "ce-id", "hunter2", "ce-source", "/hunter2", "ce-type", "orders.created", "Content-Type", "application/json"}
	w.call("POST", "/v1/events?password=hunter2", narrow, `{"password":"hunter2"}`, event...)
	w.call("GET", "/v1/events?after=hunter2", bad, "")
	w.call("GET", "/v1/events?tenant=BB&after=hunter2", narrow, "")
	w.call("GET", "/v1/sse?access_token="+bad, "", "")
	w.call("GET", "/v1/sse?topic=orders&access_token="+narrow, "", "")
	w.call("GET", "/v1/ws", narrow, "", "Origin", "https://hunter2.example")
	w.dial(bad).closed()
	c := w.open(narrow)
	c.ask(`{"id":"hunter2","subscribe":{"topic":"orders"}}`)
	c.ask(`{"id":"hunter2","subscribe":{"tenant":"BB","topic":"invoices"}}`)
	if f := c.ask(`{"id":"hunter2","subscribe":{"topic":"invoices"}}`); f.Subscribed == nil {
		t.Fatalf("%+v", f)
	}
	w.call("GET", "/v1/events?limit=hunter2", narrow, "") // wrong, not refused

	text := audit.String()
	for _, s := range secret {
		if strings.Contains(text, s) {
			t.Errorf("the audit log has %q:\n%s", s, text)
		}
	}
	type line struct{ Who, What, Tenant, Outcome, Remote string }
	got := map[line]bool{}
	for l := range strings.Lines(text) {
		var e line
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		got[e] = true
	}
	for _, want := range []line{
		{" anna", "POST /v1/events", "AA", "grant_missing", "127.0.0.1"},
		{"", "GET /v1/events", "", "token_invalid", "127.0.0.1"},
		{" anna", "GET /v1/events", "BB", "tenant_forbidden", "127.0.0.1"},
		{"", "GET /v1/sse", "", "token_invalid", "127.0.0.1"},
		{" anna", "GET /v1/sse", "AA", "grant_missing", "127.0.0.1"},
		{"", "GET /v1/ws", "", "token_invalid", "127.0.0.1"},
		{" anna", "subscribe", "AA", "grant_missing", "127.0.0.1"},
		{" anna", "subscribe", "BB", "tenant_forbidden", "127.0.0.1"},
	} {
		if !got[want] {
			t.Errorf("%+v is not in the audit log:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 10 {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

// A caller has one budget, whichever way it calls.
func TestRateLimitOfEveryWay(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit), limited(api.LimitConfig{PrincipalRate: 1, PrincipalBurst: 1}))
	ways, token := waysIn(t, w), w.token()
	if _, code := ways[0].read(token, &gatewayv1.ReadEventsRequest{}); code != "" {
		t.Fatal(code)
	}
	for _, way := range ways {
		if _, code := way.read(token, &gatewayv1.ReadEventsRequest{}); code != fault.RateLimited {
			t.Errorf("%s: %q", way.name, code)
		}
	}
	if !strings.Contains(audit.String(), `"who":" anna"`) || !strings.Contains(audit.String(), `"what":"svc.gateway.ReadEvents","tenant":"AA","outcome":"rate_limited","remote":""`) {
		t.Errorf("a call over NATS is not in the audit log:\n%s", audit.String())
	}
}
