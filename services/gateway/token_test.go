package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW5: the client is warned, sends a newer token on the open connection, and goes
// on without a cut or a gap; without one it is closed with a code that says why.
func TestGW5TokenRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.ExpiryWarning = 10 * time.Minute }))
	of := func(life time.Duration) string {
		return w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: life})
	}
	began := time.Now()
	renews, does := w.open(of(time.Hour)), w.open(of(time.Hour))
	renews.ask(`{"subscribe":{}}`)
	stream := w.stream("/v1/sse", of(time.Hour))
	stream.next()
	for _, c := range w.s.hub.all() {
		if end := w.endOf(c); end.Before(began.Add(time.Hour-time.Second)) || end.After(time.Now().Add(time.Hour)) {
			t.Errorf("%s ends at %s, an hour after %s was asked", c.proto, end, began)
		}
		if c.id != does.id {
			w.s.wheel.renew(c, time.Now().Add(5*time.Minute).Unix())
		}
	}
	if f := renews.next(); f.Expiring == nil || f.Expiring.Seconds > 300 {
		t.Fatalf("no warning: %+v", f)
	}
	if e := stream.next(); e.name != "expiring" {
		t.Errorf("no warning on a stream: %+v", e)
	}
	if f := renews.ask(`{"id":"t","token":{"accessToken":"` + of(time.Hour) + `"}}`); f.ID != "t" || f.Renewed == nil || f.Renewed.Seconds < 3500 {
		t.Fatalf("not renewed: %+v", f)
	}
	if end := w.endOf(w.of(renews.id)); end.Before(began.Add(time.Hour - time.Second)) {
		t.Errorf("renewed, it ends at %s", end)
	}
	for _, c := range w.s.hub.all() {
		if c.id != renews.id {
			w.s.wheel.renew(c, time.Now().Unix())
		}
	}
	if code, reason := does.closed(); int(code) != fault.TokenExpired.CloseCode() || reason != string(fault.TokenExpired) {
		t.Errorf("who did not renew: %d %s", code, reason)
	}
	if e := stream.next(); e.name != "close" || e.data != `{"code":"token_expired","reconnect":false}` {
		t.Errorf("the stream: %+v", e)
	}
	w.publish("evt.AA.invoices.created", `1`)
	if f := renews.event(); string(f.Event.Data) != "1" {
		t.Errorf("who renewed: %+v", f)
	}
}

// endOf is when a connection's token has had its time. A test brings that nearer, by
// the wheel: a machine may be too busy to connect within a short life.
func (w *world) endOf(c *connection) time.Time {
	w.s.wheel.mu.Lock()
	defer w.s.wheel.mu.Unlock()
	return time.Unix(c.expires, 0)
}

// GW5: a newer token is looked at as the first one was: what it grants no more is
// ended and said, what it grants in addition counts, and a bad one changes nothing.
func TestGW5TokenRegranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	of := func(user string, tenants []string, grants ...string) string {
		gs, err := auth.ParseGrants(grants)
		if err != nil {
			t.Fatal(err)
		}
		return w.sign(auth.Claims{Subject: user, Tenants: tenants, Grants: gs, TTL: time.Hour})
	}
	both := []string{"AA", "BB"}
	c := w.open(of("anna", both, "subscribe:invoices", "subscribe:orders"))
	for _, sub := range []string{`{"tenant":"AA","topic":"invoices"}`, `{"tenant":"AA","topic":"orders"}`, `{"tenant":"BB"}`, `{"tenant":"AA"}`} {
		if f := c.ask(`{"subscribe":` + sub + `}`); f.Subscribed == nil {
			t.Fatalf("%+v", f)
		}
	}
	renew := func(token string) frame { return c.ask(`{"id":"t","token":{"accessToken":"` + token + `"}}`) }
	for name, token := range map[string]string{
		"of somebody else": of("bert", both, "subscribe:*"),
		"forged":           of("anna", both, "subscribe:*") + "x",
		"empty":            "",
	} {
		if f := renew(token); f.Error == nil || f.ID != "t" {
			t.Errorf("%s: %+v", name, f)
		}
	}

	c.send(`{"id":"t","token":{"accessToken":"` + of("anna", []string{"AA"}, "subscribe:invoices", "subscribe:tickets") + `"}}`)
	ended := map[string]string{}
	f := c.next()
	for ; f.Ended != nil; f = c.next() {
		ended[f.Ended.Subscription.Tenant+" "+f.Ended.Subscription.Topic] = f.Ended.Error.Code
	}
	if f.Renewed == nil {
		t.Fatalf("not renewed: %+v", f)
	}
	if diff := cmp.Diff(map[string]string{"AA orders": "grant_missing", "BB ": "tenant_forbidden"}, ended); diff != "" {
		t.Errorf("ended: (-want +got)\n%s", diff)
	}
	for _, subj := range []string{"evt.BB.invoices.created", "evt.AA.orders.created", "evt.AA.tickets.created", "evt.AA.invoices.created"} {
		w.publish(subj, `{}`)
	}
	var got []string
	for range 2 {
		got = append(got, c.event().Event.Topic)
	}
	if !slices.Equal(got, []string{"tickets", "invoices"}) {
		t.Errorf("got %v", got)
	}
	w.nothing(c)
	w.s.hub.mu.Lock()
	defer w.s.hub.mu.Unlock()
	if n := w.s.hub.census.tenants["BB"]; n != 0 {
		t.Errorf("%d connections of the tenant that was left", n)
	}
}

// GW5: between the last event before a newer token and the first after it none is
// missing and none comes twice, however often the token is replaced.
func TestGW5TokenSeam(t *testing.T) {
	t.Parallel()
	const events = 500
	w := newWorld(t, configure(func(c *Config) { c.MaxFrameRate = 0 }))
	c := w.open(w.token())
	c.ask(`{"subscribe":{"topic":"invoices"}}`)
	for n := range events {
		if _, err := w.nats.Bus().JS.PublishAsync("evt.AA.invoices.created", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		if n%10 == 0 {
			c.send(`{"token":{"accessToken":"` + w.token() + `"}}`)
		}
	}
	last := ""
	for got, renewed := 0, 0; got < events || renewed < events/10; {
		f := c.next()
		if f.Renewed != nil {
			renewed++
			continue
		}
		if f.Cursor <= last {
			t.Fatalf("%s after %s", f.Cursor, last)
		}
		last = f.Cursor
		got++
	}
	w.nothing(c)
}
