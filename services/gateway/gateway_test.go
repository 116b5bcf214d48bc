package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

func asClose(err error, e *websocket.CloseError) bool { return errors.As(err, e) }

// GW1: by topic, by verb, by both, all; ignoring case; each event once.
func TestGW1SubscribeByTopicAndVerb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		subscribe []string
		want      []string
	}{
		{[]string{`{"topic":"invoices"}`}, []string{"invoices.created", "invoices.updated"}},
		{[]string{`{"topic":"INVOICES","verb":"Created"}`}, []string{"invoices.created"}},
		{[]string{`{"verb":"created"}`}, []string{"invoices.created", "orders.created"}},
		{[]string{`{}`}, []string{"invoices.created", "orders.created", "invoices.updated"}},
		{[]string{`{}`, `{"topic":"invoices"}`, `{"verb":"created"}`}, []string{"invoices.created", "orders.created", "invoices.updated"}},
		{[]string{`{"tenant":"AA","topic":"orders"}`}, []string{"orders.created"}},
	} {
		c := w.open(w.token())
		for _, s := range test.subscribe {
			if f := c.ask(`{"id":"s","subscribe":` + s + `}`); f.Subscribed == nil || f.ID != "s" {
				t.Fatalf("subscribe %s: %+v", s, f)
			}
		}
		w.publish("evt.AA.invoices.created", `{"total":12}`)
		w.publish("evt.AA.ORDERS.Created", `{"spelt":"as raw publishers like"}`)
		w.publish("evt.BB.invoices.created", `{"of":"another tenant"}`)
		w.publish("evt.AA.invoices.updated", `{"total":13}`)
		var got []string
		for range test.want {
			f := c.event()
			got = append(got, strings.ToLower(f.Event.Topic+"."+f.Event.Verb))
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%v: %s", test.subscribe, d)
		}
		w.nothing(c)
	}
}

// GW1: by name the event arrives as that view; several forms of one event come
// together, in one message, under one cursor.
func TestGW1SubscribeByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	for _, name := range []string{"frm.objectinserted", "portos.resources.changed"} {
		if f := c.ask(`{"subscribe":{"name":"` + name + `"}}`); f.Subscribed == nil {
			t.Fatalf("%s: %+v", name, f)
		}
	}
	c.ask(`{"subscribe":{"topic":"invoices"}}`)
	m := nats.NewMsg("evt.AA.invoices.created")
	m.Header.Set("ce-specversion", "1.0")
	m.Header.Set("ce-id", "e1")
	m.Header.Set("ce-source", "/billing")
	m.Header.Set("ce-type", "invoices.created")
	m.Header.Set("ce-subject", "4711")
	m.Data = []byte(`{"total":12}`)
	w.publishMsg(m)
	var types, cursors []string
	for range 3 {
		f := c.event()
		types, cursors = append(types, f.Event.Type), append(cursors, f.Cursor)
	}
	if d := cmp.Diff([]string{"invoices.created", "frm.objectInserted", "portos.resources.changed"}, types); d != "" {
		t.Error(d)
	}
	if cursors[0] != cursors[1] || cursors[1] != cursors[2] {
		t.Errorf("cursors differ: %v", cursors)
	}
	w.nothing(c)
}

// GW1: the payload is embedded as it came, and newlines in it do not break lines.
func TestGW1PayloadAsItCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	w.publish("evt.AA.invoices.created", "{\n  \"big\": 12345678901234567890,\r\n  \"zero\": 0.10\n}")
	if got, want := string(c.event().Event.Data), `{   "big": 12345678901234567890,    "zero": 0.10 }`; got != want {
		t.Errorf("data = %s, want %s", got, want)
	}
}

// GW1: unsubscribe removes exactly that subscription and succeeds without one.
func TestGW1Unsubscribe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{"topic":"invoices"}}`)
	c.ask(`{"subscribe":{"topic":"invoices"}}`) // twice is one
	c.ask(`{"subscribe":{"topic":"orders"}}`)
	for range 2 {
		if f := c.ask(`{"id":"u","unsubscribe":{"topic":"Invoices"}}`); f.Unsubbed == nil || f.ID != "u" {
			t.Fatalf("unsubscribe: %+v", f)
		}
	}
	w.publish("evt.AA.invoices.created", `{}`)
	w.publish("evt.AA.orders.created", `{}`)
	if f := c.event(); f.Event.Topic != "orders" {
		t.Errorf("got %+v", f.Event)
	}
	w.nothing(c)
}

// The answers to what a client must not send. The connection stays open.
func TestGW1BadFrames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.MaxSubscriptions = 2 }))
	c := w.open(w.token("subscribe:invoices", "subscribe:orders"))
	for _, test := range []struct {
		send  string
		code  fault.Code
		field string
	}{
		{`nonsense`, fault.InvalidFrame, ""},
		{`[]`, fault.InvalidFrame, ""},
		{`{}`, fault.InvalidFrame, ""},
		{`{"subscribe":{"topics":"invoices"}}`, fault.InvalidFrame, ""},
		{`{"subscribe":{"topic":7}}`, fault.InvalidFrame, ""},
		{`{"subscribe":{"topic":"invoices"},"ping":{}}`, fault.InvalidFrame, ""},
		{`{"subscribe":{"topic":"*"}}`, fault.InvalidTopic, "topic"},
		{`{"subscribe":{"topic":"` + strings.Repeat("x", 256) + `"}}`, fault.InvalidTopic, "topic"},
		{`{"subscribe":{"verb":"a\u0000b"}}`, fault.InvalidVerb, "verb"},
		{`{"subscribe":{"tenant":"_"}}`, fault.InvalidName, "tenant"},
		{`{"subscribe":{"tenant":"BB"}}`, fault.TenantForbidden, "tenant"},
		{`{"subscribe":{"topic":"users"}}`, fault.GrantMissing, ""},
		{`{"subscribe":{"name":"frm.objectInserted"}}`, fault.GrantMissing, ""}, // of all topics
		{`{"subscribe":{"name":"frm.nothing"}}`, fault.UnknownName, "name"},
		{`{"subscribe":{"name":"MAIL"}}`, fault.UnknownName, "name"},
		{`{"subscribe":{"name":"frm.objectInserted","topic":"x"}}`, fault.InvalidRequest, "name"},
		{`{"resume":{"cursor":"x","subscriptions":[{}]}}`, fault.InvalidCursor, "cursor"},
		{`{"resume":{"cursor":"00000000-0000000000000000","subscriptions":[{}]}}`, fault.CursorGone, "cursor"},
		{`{"resume":{"cursor":"00000000-0000000000000000"}}`, fault.InvalidRequest, "subscriptions"},
	} {
		f := c.ask(test.send)
		if f.Error == nil || f.Error.Code != string(test.code) || f.Error.Details["field"] != test.field {
			t.Errorf("%.80s: %+v, want %s of field %q", test.send, f.Error, test.code, test.field)
		}
	}
	c.ask(`{"subscribe":{"topic":"invoices"}}`)
	c.ask(`{"subscribe":{"topic":"orders"}}`)
	if f := c.ask(`{"subscribe":{"topic":"orders","verb":"created"}}`); f.Error == nil || f.Error.Code != string(fault.TooManySubscriptions) {
		t.Errorf("third subscription: %+v", f)
	}
	if f := c.ask(`{"id":"é","ping":{}}`); f.Pong == nil || f.ID != "é" {
		t.Errorf("after all that, ping: %+v", f)
	}
}

// A token for some topics that asks for everything gets what it is granted.
func TestGW1EverythingGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token("subscribe:invoices"))
	if f := c.ask(`{"subscribe":{}}`); f.Subscribed == nil {
		t.Fatalf("%+v", f)
	}
	w.publish("evt.AA.orders.created", `{}`)
	w.publish("evt.AA.invoices.created", `{}`)
	if f := c.event(); f.Event.Topic != "invoices" {
		t.Errorf("got %+v", f.Event)
	}
}

// What ends a connection says why, with a code that says whether to come back.
func TestGW5CloseCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.MaxFrameBytes = 1 << 10 }))
	other, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{[]byte(strings.Repeat("x", 32))}})
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.Sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	past, err := auth.NewHS256(auth.HS256Options{
		Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}, Now: func() time.Time { return time.Now().Add(-2 * time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	over, err := past.Sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		do    func(*window)
		code  fault.Code
	}{
		"no token":       {"", func(*window) {}, fault.TokenMissing},
		"garbage":        {"garbage", func(*window) {}, fault.TokenInvalid},
		"another secret": {forged, func(*window) {}, fault.TokenInvalid},
		"expired":        {over, func(*window) {}, fault.TokenExpired},
		"expires": {w.token(), func(c *window) {
			f := c.ask(`{"ping":{}}`) // it is open, and welcome was first
			if f.Welcome == nil {
				t.Fatalf("%+v", f)
			}
			w.s.wheel.renew(w.of(f.Welcome.Connection), time.Now().Unix())
		}, fault.TokenExpired},
		"frame too large": {w.token(), func(c *window) { c.send(`{"ping":{},"id":"` + strings.Repeat("x", 2000) + `"}`) }, fault.FrameTooLarge},
		"binary": {w.token(), func(c *window) {
			if err := c.ws.Write(t.Context(), websocket.MessageBinary, []byte(`{"ping":{}}`)); err != nil {
				t.Error(err)
			}
		}, fault.InvalidFrame},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial(test.token)
			test.do(c)
			code, reason := c.closed()
			if int(code) != test.code.CloseCode() || reason != string(test.code) {
				t.Errorf("closed with %d %q, want %d %q", code, reason, test.code.CloseCode(), test.code)
			}
		})
	}
	status, body := w.call("GET", "/v1/ws", w.token(), "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol", "belfry.v9")
	if status != 400 || !strings.Contains(body, `"unsupported_protocol"`) {
		t.Errorf("wrong subprotocol: %d %s", status, body)
	}
	if status, body = w.call("GET", "/v1/ws", w.token(), ""); status != 400 || !strings.Contains(body, `"invalid_request"`) {
		t.Errorf("no WebSocket: %d %s", status, body)
	}
	status, body = w.call("GET", "/v1/ws", w.token(), "", "Connection", "Upgrade", "Upgrade", "websocket", "Origin", "https://evil.example",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if status != 403 || !strings.Contains(body, `"origin_forbidden"`) {
		t.Errorf("foreign origin: %d %s", status, body)
	}
}

// SR4: an event past its expiry is not delivered, live or replayed.
func TestSR4Expired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	start := c.ask(`{"subscribe":{"topic":"offers"}}`).Subscribed.Cursor
	expiring := func(at time.Time, data string) {
		m := nats.NewMsg("evt.AA.offers.created")
		for k, v := range map[string]string{
			"ce-specversion": "1.0", "ce-id": data, "ce-source": "/x", "ce-type": "offers.created",
			"ce-time": "2020-01-01T00:00:00Z", "ce-expirytime": at.UTC().Format(time.RFC3339Nano),
		} {
			m.Header.Set(k, v)
		}
		m.Data = []byte(data)
		w.publishMsg(m)
	}
	expiring(time.Now().Add(-time.Minute), `1`)
	expiring(time.Now().Add(time.Hour), `2`)
	if f := c.event(); string(f.Event.Data) != "2" {
		t.Errorf("live: got %s first", f.Event.Data)
	}
	back := w.open(w.token())
	back.ask(`{"resume":{"cursor":"` + start + `","subscriptions":[{"topic":"offers"}]}}`)
	if f := back.event(); string(f.Event.Data) != "2" {
		t.Errorf("replayed: got %s first", f.Event.Data)
	}
}

// GW7: a stopping gateway says goodbye with a code that says reconnect, after
// what was on its way.
func TestGW7Drain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	s := w.stream("/v1/sse", w.token())
	s.next()
	w.publish("evt.AA.invoices.created", `{}`)
	c.event()
	s.next()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.stop()
	}()
	defer func() { <-stopped }()
	code, reason := c.closed()
	if int(code) != fault.Draining.CloseCode() || reason != string(fault.Draining) || !fault.Reconnects(int(code)) {
		t.Errorf("closed with %d %q", code, reason)
	}
	if e := s.next(); e.name != "close" || e.data != `{"code":"draining","reconnect":true}` {
		t.Errorf("stream ended with %+v", e)
	}
}

// The malformed rule, end to end: broken CloudEvents are delivered as bare data,
// marked, and counted.
func TestMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	m := nats.NewMsg("evt.AA.invoices.created")
	m.Header.Set("Content-Type", "application/cloudevents+json")
	m.Data = []byte(`{"specversion":`)
	w.publishMsg(m)
	if f := c.event(); f.Event.Malformed == "" {
		t.Errorf("not marked: %+v", f.Event)
	}
}

// A publisher's own Nats-Sequence header changes nothing.
func TestForgedSequence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	for i := range 3 {
		m := nats.NewMsg("evt.AA.invoices.created")
		m.Header.Set("Nats-Sequence", "999999")
		m.Header.Set("Nats-Last-Sequence", "999998")
		m.Data = fmt.Appendf(nil, "%d", i)
		seq := w.publishMsg(m)
		f := c.event()
		if want := w.s.cursor(seq).String(); f.Cursor != want || string(f.Event.Data) != fmt.Sprint(i) {
			t.Errorf("cursor %s data %s, want %s %d", f.Cursor, f.Event.Data, want, i)
		}
	}
}

// A page of the log, as GET /v1/events answers it.
type pageAnswer struct {
	Events []struct {
		Cursor string
		Event  struct{ Type string }
	}
	Cursor string
	More   bool
	Code   string
}

func (w *world) page(query string) (p pageAnswer) {
	w.t.Helper()
	_, body := w.call("GET", "/v1/events"+query, w.token(), "")
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		w.t.Fatalf("%s: %v", body, err)
	}
	return p
}
