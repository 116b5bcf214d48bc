package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Each limit of connections is told in its own way, concerns nobody else, and is
// gone as soon as somebody leaves.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	of := func(w *world, user, tenant string) string {
		return w.sign(auth.Claims{Subject: user, Tenants: []string{tenant}, Grants: auth.Everything(), TTL: time.Hour})
	}
	for name, c := range map[string]struct {
		set             func(*Config)
		refused, others [2]string // user and tenant
		code            fault.Code
		limit           string
		status          int // of a stream
	}{
		"of a user":   {func(c *Config) { c.MaxUserConnections = 2 }, [2]string{"anna", "AA"}, [2]string{"bert", "AA"}, fault.TooManyConnections, limitOfUser, 429},
		"of a tenant": {func(c *Config) { c.MaxTenantConnections = 2 }, [2]string{"bert", "AA"}, [2]string{"anna", "BB"}, fault.TooManyConnections, limitOfTenant, 429},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, configure(c.set))
			first := w.open(of(w, "anna", "AA"))
			second := w.stream("/v1/sse", of(w, "anna", "AA"))
			second.next()
			token := of(w, c.refused[0], c.refused[1])
			if code, reason := w.dial(token).closed(); int(code) != c.code.CloseCode() || reason != string(c.code) {
				t.Errorf("one more window: %d %s", code, reason)
			}
			if status, body := w.call(http.MethodGet, "/v1/sse", token, ""); status != c.status || !strings.Contains(body, `"limit":"`+c.limit+`"`) {
				t.Errorf("one more stream: %d %s", status, body)
			}
			if got := counter(w.s.stats.refused.WithLabelValues(c.limit, c.refused[1])); got != 2 {
				t.Errorf("%v refusals are counted, want 2", got)
			}
			w.open(of(w, c.others[0], c.others[1]))
			if f := first.ask(`{"ping":{}}`); f.Pong == nil {
				t.Errorf("who was there before: %+v", f)
			}
			_ = first.ws.CloseNow()
			w.eventually("a place is free", func() bool {
				w.s.hub.mu.Lock()
				defer w.s.hub.mu.Unlock()
				return w.s.hub.census.all == 2
			})
			w.open(token)
		})
	}
}

// A process that is full says so before the handshake, with a code that sends the
// client to another one.
func TestAtCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.MaxConnections = 1 }))
	w.open(w.token())
	_, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+w.token(), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more window: %v", err)
	}
	if status, body := w.call(http.MethodGet, "/v1/sse", w.token(), ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "at_capacity") {
		t.Errorf("one more stream: %d %s", status, body)
	}
	if !fault.Reconnects(fault.AtCapacity.CloseCode()) || fault.Reconnects(fault.TooManyConnections.CloseCode()) {
		t.Error("the codes say the wrong thing about coming back")
	}
}

// A client that sends too many frames is closed; one that asks for all it wants at
// once is not.
func TestFrameRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.MaxFrameRate = 2 }))
	calm, busy := w.open(w.token()), w.open(w.token())
	calm.send(strings.Repeat(`{"ping":{}}`+"\n", 2*paceBurst))
	for range 2 * paceBurst {
		if f := calm.next(); f.Pong == nil {
			t.Fatalf("%+v", f)
		}
	}
	busy.send(strings.Repeat(`{"ping":{}}`+"\n", 2*paceBurst+1))
	if code, reason := busy.closed(); int(code) != fault.RateLimited.CloseCode() {
		t.Errorf("%d %s", code, reason)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	p, now := newPace(10), time.Unix(1_800_000_000, 0)
	count := func() (n int) {
		for p.allow(now) {
			n++
		}
		return n
	}
	if n := count(); n != 10*paceBurst {
		t.Errorf("%d at once", n)
	}
	now = now.Add(time.Second)
	if n := count(); n != 10 {
		t.Errorf("%d after a second", n)
	}
}
