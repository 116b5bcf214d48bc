package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// presences is an answer of the presence routes.
type presences struct {
	Presence person
	Users    []person
	Total    int
	More     bool
}

type person struct {
	Tenant, User          string
	Online                bool
	Since                 *time.Time
	Connections, Gateways int
}

func (w *world) presence(path, token string) (l presences) {
	w.t.Helper()
	status, body := w.call("GET", path, token, "")
	if err := json.Unmarshal([]byte(body), &l); err != nil || status != 200 {
		w.t.Fatalf("%s: %d %s", path, status, body)
	}
	return l
}

func TestRT7PresenceOverHTTPIsTheSameOnEveryGateway(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := newWorld(t, beside(a))
	began := time.Now().Add(-time.Second)
	a.open(a.token())
	a.open(a.token())
	b.open(b.token())
	b.open(b.as("a/b žlutý", "AA"))
	seen(t, roster.Person(anna), 2, a, b)
	seen(t, roster.Person{Tenant: "AA", User: "a/b žlutý"}, 1, a, b)
	for _, w := range []*world{a, b} {
		w.eventually("all connections are known", func() bool { return w.s.who.Get(roster.Person(anna)).Connections == 3 })
		p := w.presence("/v1/presence/anna?tenant=AA", w.token()).Presence
		if !p.Online || p.Connections != 3 || p.Gateways != 2 || p.Since == nil || p.Since.Before(began) || p.User != "anna" {
			t.Errorf("anna is %+v", p)
		}
		if p := w.presence("/v1/presence/a%2Fb%20%C5%BElut%C3%BD", w.token()).Presence; !p.Online || p.User != "a/b žlutý" {
			t.Errorf("a user with odd characters is %+v", p)
		}
		if p := w.presence("/v1/presence/nobody", w.token()).Presence; p.Online || p.Since != nil || p.Connections != 0 {
			t.Errorf("nobody is %+v", p)
		}
		first := w.presence("/v1/presence?limit=1", w.token())
		if first.Total != 2 || !first.More || len(first.Users) != 1 || first.Users[0].User != "a/b žlutý" {
			t.Errorf("first page: %+v", first)
		}
		last := w.presence("/v1/presence?limit=5&after=a/b%20%C5%BElut%C3%BD", w.token())
		if last.More || len(last.Users) != 1 || last.Users[0].Connections != 3 {
			t.Errorf("last page: %+v", last)
		}
	}
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/v1/presence/anna?tenant=BB": {403, "tenant_forbidden"}, "/v1/presence?limit=0": {400, "invalid_request"},
		"/v1/presence/" + strings.Repeat("x", 256): {400, "invalid_name"},
	} {
		if status, body := a.call("GET", path, a.token(), ""); status != want.status || !strings.Contains(body, want.code) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := a.call("GET", "/v1/presence/anna", a.token("subscribe:*", "admin"), ""); status != 403 || !strings.Contains(body, "grant_missing") {
		t.Errorf("without the grant: %d %s", status, body)
	}
}

func TestRT7ComingAndGoingAreEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.PresenceGrace = 100 * time.Millisecond }))
	onNATS, err := w.app().SubscribeSync("presence.AA.>")
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(w.token())
	if f := c.ask(`{"id":"1","subscribe":{"name":"Presence"}}`); f.Subscribed == nil || f.Subscribed.Cursor != "" {
		t.Fatalf("subscribed: %+v", f)
	}
	bustest.Eventually(t, patience, "the gateway has begun to announce", func() bool {
		m, err := onNATS.NextMsg(10 * time.Millisecond)
		return err == nil && m.Header.Get("ce-type") == "presence.online"
	})
	eva := w.open(w.as("eva", "AA"))
	next := func() frame {
		t.Helper()
		for {
			if f := c.event(); f.Event.Subject != "anna" { // her own coming may still be on its way
				return f
			}
		}
	}
	if f := next(); f.Event.Type != "presence.online" || f.Event.Subject != "eva" || f.Event.Tenant != "AA" || f.Cursor != "" {
		t.Errorf("coming: %+v", f.Event)
	}
	_ = eva.ws.CloseNow()
	f := next()
	var data struct {
		User   string
		Online bool
		Since  time.Time
	}
	if err := json.Unmarshal(f.Event.Data, &data); err != nil || f.Event.Type != "presence.offline" || data.User != "eva" || data.Online || data.Since.IsZero() {
		t.Errorf("going: %+v %+v %v", f.Event, data, err)
	}
	// Exactly what was subscribed is unsubscribed, and not before.
	c.send(`{"unsubscribe":{"tenant":"AA","name":"presence"}}`)
	if f := c.next(); f.Unsubbed == nil {
		t.Errorf("unsubscribed: %+v", f)
	}
	w.open(w.as("jan", "AA"))
	if f := next(); f.Event.Subject != "jan" {
		t.Errorf("still subscribed: %+v", f.Event)
	}
	for token, code := range map[string]string{w.token("subscribe:*"): "grant_missing", w.as("x"): "tenant_forbidden"} {
		if f := w.open(token).ask(`{"subscribe":{"name":"presence"}}`); f.Error == nil || f.Error.Code != code {
			t.Errorf("%+v, want %s", f, code)
		}
	}
}

func TestRT7ANewTokenMovesItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.PresenceGrace = 0 }))
	c := w.open(w.as("anna", "AA", "BB"))
	seen(t, roster.Person{Tenant: "BB", User: "anna"}, 1, w)
	if f := c.ask(fmt.Sprintf(`{"token":{"accessToken":%q}}`, w.as("anna", "AA", "CC"))); f.Error != nil {
		t.Fatalf("renewed: %+v", f)
	}
	seen(t, roster.Person{Tenant: "AA", User: "anna"}, 1, w)
	seen(t, roster.Person{Tenant: "BB", User: "anna"}, 0, w)
	seen(t, roster.Person{Tenant: "CC", User: "anna"}, 1, w)
}

func TestRT5PostRealtime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	admin := w.sign(auth.Claims{Subject: "op", Tenants: []string{"AA"}, Grants: auth.Grants{{Action: auth.Admin}}, TTL: time.Hour})
	post := func(token, body string) (int, string) {
		return w.call("POST", "/v1/realtime", token, body, "Content-Type", "application/json")
	}
	if status, body := post(token, `{"recipient":"anna","MAIL":{}}`); status != 404 || !strings.Contains(body, "nobody_there") {
		t.Errorf("nobody there: %d %s", status, body)
	}
	c := w.open(token)
	status, body := post(token, `{"recipient":"anna","id":"n-1","correlationId":"r-7","expiryTime":"2099-01-01T00:00:00Z","MAIL":{"from":"Jan <jan@example.com>","unreadCount":3}}`)
	if status != 200 || strings.TrimSpace(body) != `{"id":"n-1","connections":1,"gateways":1,"complete":true}` {
		t.Errorf("%d %s", status, body)
	}
	if f := c.event(); f.Event.ID != "n-1" || f.Event.Type != "MAIL" || f.Event.Recipient != "anna" || string(f.Event.Data) != `{"from":"Jan <jan@example.com>","unreadCount":3}` {
		t.Errorf("got %+v %s", f.Event, f.Event.Data)
	}
	if status, body := post(admin, `{"everybody":true,"SHUTDOWN":{"text":"Planned maintenance"}}`); status != 200 {
		t.Errorf("to everybody: %d %s", status, body)
	}
	if f := c.event(); f.Event.Type != "SHUTDOWN" || f.Event.Recipient != "" {
		t.Errorf("got %+v", f.Event)
	}
	for _, bad := range []struct {
		token, body string
		status      int
		want        string
	}{
		{token, `{"everybody":true,"SYS_MSG":{}}`, 403, "grant_missing"},
		{admin, `{"SYS_MSG":{}}`, 403, "grant_missing"},
		{w.token("publish:*", "subscribe:*"), `{"SYS_MSG":{}}`, 403, "grant_missing"},
		{token, `{"tenant":"BB","SYS_MSG":{}}`, 403, "tenant_forbidden"},
		{admin, `{"everybody":true,"tenant":"AA","SYS_MSG":{}}`, 400, `"field":"tenant"`},
		{admin, `{"everybody":true,"recipient":"anna","SYS_MSG":{}}`, 400, `"field":"recipient"`},
		{token, `{"recipient":"anna"}`, 400, `"field":"payload"`},
		{token, `{"recipient":"anna","MALI":{}}`, 400, `"field":"MALI"`},
		{token, `{"recipient":"anna","MAIL":{"form":"Jan"}}`, 400, `"field":"MAIL.form"`},
		{token, `{"recipient":"anna","MAIL":{},"NOT":{}}`, 400, `excludes MAIL`},
		{token, `{"recipient":"anna","PERF":{"duration":"fast"}}`, 400, `"field":"PERF.duration"`},
		{token, `{"recipient":"anna","source":"no uri \u007f","NOT":{}}`, 400, "invalid_event"},
		{token, `{"recipient":"anna","expiryTime":"2001-01-01T00:00:00Z","NOT":{}}`, 400, "expirytime"},
		{token, `{"recipient":"` + strings.Repeat("x", 256) + `","NOT":{}}`, 400, "invalid_name"},
		{"", `{"NOT":{}}`, 401, "token_missing"},
	} {
		if status, body := post(bad.token, bad.body); status != bad.status || !strings.Contains(body, bad.want) {
			t.Errorf("%s: %d %s, want %d %s", bad.body, status, body, bad.status, bad.want)
		}
	}
	if f := c.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("something refused was delivered: %+v", f)
	}
}

func TestTM2AnyValidTokenMayListenToTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.nats.Bus().NC
	strike := func(subj string, h nats.Header) {
		t.Helper()
		h["ce-specversion"] = []string{"1.0"}
		if err := nc.PublishMsg(&nats.Msg{Subject: subj, Header: h}); err != nil {
			t.Fatal(err)
		}
	}
	listener := w.open(w.token("mailbox")) // no grant that has to do with it
	nobody := w.open(w.as("jan"))          // not even a tenant
	if f := listener.ask(`{"id":"1","subscribe":{"name":"FRM.TIME.noon"}}`); f.Subscribed == nil || f.Subscribed.Cursor != "" {
		t.Fatalf("subscribed: %+v", f)
	}
	if f := nobody.ask(`{"subscribe":{"name":"frm.time.Noon"}}`); f.Subscribed == nil {
		t.Fatalf("subscribed: %+v", f)
	}
	stream := w.stream("/v1/sse?name=frm.time.BOD&name=frm.time.Noon", w.token("subscribe:invoices"))
	for _, want := range []string{"retry: 2000\n", ": live\n", "\n"} { // no position: there is none
		if line, err := stream.in.ReadString('\n'); err != nil || line != want {
			t.Errorf("the stream begins with %q, %v; want %q", line, err, want)
		}
	}
	strike("clock._.BOD", nats.Header{"ce-type": {"frm.time.BOD"}})
	strike("clock._.Noon", nats.Header{"ce-type": {"frm.time.Noon"}, "ce-id": {"frm.time.Noon@2026-01-05T11:02:00Z"}, "ce-nominaltime": {"2026-01-05T11:02:00Z"}, "ce-zone": {"Europe/Prague"}})
	strike("clock.AA.Noon", nats.Header{"ce-type": {"frm.time.Noon"}})
	strike("clock.BB.Noon", nats.Header{"ce-type": {"frm.time.Noon"}})
	for _, tenant := range []string{"", "AA"} {
		if f := listener.event(); f.Event.Type != "frm.time.Noon" || f.Event.Tenant != tenant || f.Cursor != "" || len(f.Event.Data) > 0 {
			t.Errorf("got %+v, want noon of %q", f.Event, tenant)
		}
	}
	if f := nobody.event(); f.Event.ID != "frm.time.Noon@2026-01-05T11:02:00Z" {
		t.Errorf("got %+v", f.Event)
	}
	for _, name := range []string{"frm.time.BOD", "frm.time.Noon"} {
		if e := stream.next(); e.id != "" || !strings.Contains(e.data, name) {
			t.Errorf("the stream got %+v, want %s", e, name)
		}
	}
	for _, c := range []*window{listener, nobody} {
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("once more: %+v", f)
		}
	}
	if f := listener.ask(`{"subscribe":{"tenant":"BB","name":"frm.time.Noon"}}`); f.Error == nil || f.Error.Code != "tenant_forbidden" {
		t.Errorf("a foreign tenant's noon: %+v", f)
	}
	if status, body := w.call("GET", "/v1/events?name=frm.time.Noon", w.token(), ""); status != 400 || !strings.Contains(body, "never stored") {
		t.Errorf("from the log: %d %s", status, body)
	}
}

func TestGW2AResumptionTakesWhatIsNeverStoredAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	at := c.ask(`{"subscribe":{"topic":"invoices"}}`).Subscribed.Cursor
	_ = c.ws.CloseNow()
	w.publish("evt.AA.invoices.created", `{"missed":1}`)
	for _, subs := range []string{`[{"topic":"invoices"},{"name":"frm.time.Noon"},{"name":"presence"}]`, `[{"name":"frm.time.Noon"}]`} {
		c := w.open(w.token())
		if f := c.ask(`{"id":"1","resume":{"cursor":"` + at + `","subscriptions":` + subs + `}}`); f.Resumed == nil {
			t.Fatalf("resumed: %+v", f)
		}
		if strings.Contains(subs, "invoices") {
			if f := c.event(); string(f.Event.Data) != `{"missed":1}` {
				t.Errorf("missed: %+v", f.Event)
			}
		}
		if f := c.ask(`{"id":"2","subscribe":{"name":"frm.time.BOD"}}`); f.Subscribed == nil { // after the catch-up
			t.Errorf("then: %+v", f)
		}
		if err := w.nats.Bus().NC.Publish("clock._.Noon", nil); err != nil {
			t.Fatal(err)
		}
		if f := c.event(); f.Event.Type != "frm.time.Noon" {
			t.Errorf("then: %+v", f.Event)
		}
	}
}
