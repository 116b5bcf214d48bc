package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// hubClient is a test's own SignalR client: JSON over a WebSocket.
type hubClient struct {
	t       testing.TB
	ws      *websocket.Conn
	pending []byte
	calls   int
}

// hubMessage is a message as it sees it.
type hubMessage struct {
	Type           int
	InvocationID   string
	Target         string
	Arguments      []json.RawMessage
	Error          string
	AllowReconnect bool
}

func (w *world) hubOpen(token string) *hubClient {
	w.t.Helper()
	ws, resp, err := websocket.Dial(w.t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+HubPath+"?access_token="+token, nil)
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	c := &hubClient{t: w.t, ws: ws}
	c.send(`{"protocol":"json","version":1}`)
	if b, err := c.read(); err != nil || string(b) != "{}" {
		w.t.Fatalf("handshake: %s %v", b, err)
	}
	return c
}

func (c *hubClient) send(text string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text+"\x1e")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *hubClient) read() ([]byte, error) {
	for {
		if message, rest, ok := bytes.Cut(c.pending, []byte{0x1e}); ok {
			c.pending = rest
			return message, nil
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		_, b, err := c.ws.Read(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
		c.pending = append(c.pending, b...)
	}
}

// next is the next message that is no ping.
func (c *hubClient) next() (m hubMessage) {
	c.t.Helper()
	for m.Type == 0 || m.Type == 6 {
		m = hubMessage{}
		b, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%s: %v", b, err)
		}
	}
	return m
}

// call calls a method and answers its error.
func (c *hubClient) call(method, argument string) string {
	c.t.Helper()
	c.calls++
	id := fmt.Sprint(c.calls)
	c.send(`{"type":1,"invocationId":"` + id + `","target":"` + method + `","arguments":[` + argument + `]}`)
	m := c.next()
	if m.Type != 3 || m.InvocationID != id {
		c.t.Fatalf("%s(%s): %+v", method, argument, m)
	}
	return m.Error
}

func (c *hubClient) subscribe(argument string) {
	c.t.Helper()
	if e := c.call("Subscribe", argument); e != "" {
		c.t.Fatalf("subscribe %s: %s", argument, e)
	}
}

// event is the argument of the next call of OnEvent.
func (c *hubClient) event() string {
	c.t.Helper()
	m := c.next()
	if m.Type != 1 || m.Target != "OnEvent" || m.InvocationID != "" || len(m.Arguments) != 1 {
		c.t.Fatalf("expected an event, got %+v", m)
	}
	return string(m.Arguments[0])
}

// SR3: word for word as the wire book has it.
func TestSR3Notification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.hubOpen(w.token())
	c.subscribe(`{"e":"portos.resources.changed"}`)
	book, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(name string) string {
		found := regexp.MustCompile("(?m)^```json " + name + "\n(.*)$").FindSubmatch(book)
		if found == nil {
			t.Fatal("the wire book has no " + name)
		}
		return string(found[1])
	}
	w.publishMsg(&nats.Msg{
		Subject: "evt.AA.tickets.created", Data: []byte(block("stored=tickets.created")),
		Header: nats.Header{"Content-Type": {"application/cloudevents+json"}},
	})
	if d := cmp.Diff(block("notification=portos.resources.changed of=tickets.created"), c.event()); d != "" {
		t.Error(d)
	}
	// Bare, from a publisher who knows nothing of us.
	w.publish("evt.AA.Tickets.deleted", `{"number":12}`)
	got := regexp.MustCompile(`"ca":"[^"]*Z"`).ReplaceAllString(c.event(), `"ca":…`)
	if d := cmp.Diff(`{"e":"portos.resources.changed","s":{"c":"","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":…,"ea":null,`+
		`"p":{"u":{"u":"SYSTEM","d":"SYSTEM","f":null},"n":"Tickets","a":3,"i":{"i":"","n":"Tickets","v":null},"r":[{"number":12}]}}`, got); d != "" {
		t.Error(d)
	}
}

// SR2: what is one subscription, and what is another.
func TestSR2Normalise(t *testing.T) {
	t.Parallel()
	s := &Service{config: Default()}
	read := func(text string) filter {
		t.Helper()
		f, err := s.hubFilter([]json.RawMessage{json.RawMessage(text)})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return f
	}
	for _, same := range [][]string{
		{`{"e":"portos.resources.changed"}`, `{"e":"PORTOS.Resources.Changed","r":null}`, `{"e":"portos.resources.changed","r":[]}`},
		{
			`{"e":"portos.resources.changed","r":[{"n":"a","a":["created","updated"]},{"n":"B"}]}`,
			`{"e":"portos.resources.changed","r":[{"n":"b","a":[]},{"n":"A","a":["Updated","created","created"]}]}`,
			`{"e":"portos.resources.changed","r":[{"n":"b","a":null},{"n":"a","a":["updated"]},{"n":"a","a":["created"]}]}`,
		},
	} {
		for _, text := range same[1:] {
			if read(text) != read(same[0]) {
				t.Errorf("%s is not %s", text, same[0])
			}
		}
	}
	if read(`{"e":"portos.resources.changed","r":[{"n":"a"}]}`) == read(`{"e":"portos.resources.changed","r":[{"n":"a","a":["created","updated","deleted"]}]}`) {
		t.Error("no actions and all actions are the same parameters")
	}
	for text, code := range map[string]fault.Code{
		`{"e":"portos.resources.changed","r":[{"n":"a\tb"}]}`:                fault.InvalidTopic,
		`{"e":"portos.resources.changed","r":[{"n":">"}]}`:                   fault.InvalidTopic,
		`{"e":"portos.resources.changed","r":[{"n":"a","a":["activated"]}]}`: fault.InvalidRequest,
		`{"e":"portos.resources.changed","r":[{"n":"a","x":1}]}`:             fault.InvalidRequest,
		`{"e":"sys.newUser","r":[{"n":"a"}]}`:                                fault.InvalidRequest,
		`{"e":"NOT"}`:                                                        fault.UnknownName,
		`{"e":"x"}`:                                                          fault.UnknownName,
		`{"e":"portos.resources.changed","r":[` + strings.Repeat(`{"n":"a"},`, 128) + `{"n":"a"}]}`: fault.TooManySubscriptions,
	} {
		if _, err := s.hubFilter([]json.RawMessage{json.RawMessage(text)}); fault.CodeOf(err) != code {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

// SR2: the actions are the verbs the view is made from.
func TestSR2Actions(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff([]string{"created", "updated", "deleted"}, actions); d != "" {
		t.Error(d)
	}
}

// SR2: grants by resource; and interest on NATS ends with the last subscription.
func TestSR2GrantsAndInterest(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit))
	c := w.hubOpen(w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA", "BB"}, Grants: mustGrants(t, "subscribe:devices"), TTL: time.Hour}))
	for argument, want := range map[string]string{
		`{"e":"portos.resources.changed"}`:                                     "grant_missing",
		`{"e":"portos.licence.activated"}`:                                     "grant_missing",
		`{"e":"portos.resources.changed","r":[{"n":"devices"},{"n":"users"}]}`: "grant_missing",
	} {
		if e := c.call("Subscribe", argument); !strings.Contains(e, "HubException: "+want) {
			t.Errorf("%s: %s", argument, e)
		}
	}
	if got := strings.Count(audit.String(), "grant_missing"); got != 3 {
		t.Errorf("%d refusals are in the audit log: %s", got, audit.String())
	}
	tenants := func() int {
		w.s.hub.mu.Lock()
		defer w.s.hub.mu.Unlock()
		return len(w.s.hub.tenants)
	}
	devices := `{"e":"portos.resources.changed","r":[{"n":"DEVICES","a":["created","deleted"]}]}`
	c.subscribe(devices)
	c.subscribe(devices)
	if n := tenants(); n != 2 {
		t.Errorf("%d tenants are listened to", n)
	}
	w.publish("evt.BB.devices.updated", `{}`)
	w.publish("evt.BB.users.created", `{}`)
	w.publish("evt.BB.devices.created", `{"of":"BB"}`)
	w.publish("evt.AA.devices.deleted", `{"of":"AA"}`)
	if got := c.event() + c.event(); !strings.Contains(got, `"of":"AA"`) || !strings.Contains(got, `"of":"BB"`) {
		t.Error(got)
	}
	if e := c.call("Unsubscribe", devices); e != "" || tenants() != 0 {
		t.Errorf("%s, %d tenants are listened to", e, tenants())
	}
	nobody := w.hubOpen(w.sign(auth.Claims{Subject: "anna", Grants: auth.Everything(), TTL: time.Hour}))
	for _, argument := range []string{devices, `{"e":"portos.licence.activated"}`} {
		if e := nobody.call("Subscribe", argument); !strings.Contains(e, "tenant_forbidden") {
			t.Errorf("%s: %s", argument, e)
		}
	}
}

func mustGrants(t *testing.T, grants ...string) auth.Grants {
	t.Helper()
	gs, err := auth.ParseGrants(grants)
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

// SR2: every name of the views table is one that can be subscribed to.
func TestSR2EveryName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.hubOpen(w.token())
	for _, v := range durableViews {
		c.subscribe(`{"e":"` + strings.ToUpper(v.Name) + `"}`)
	}
	c.subscribe(`{"e":"frm.time.noon"}`)
	c.subscribe(`{"e":"presence"}`)
	w.publish("evt.AA.users.created", `{"name":"Jan"}`)
	var got []string
	for range 3 {
		var n struct{ E string }
		if err := json.Unmarshal([]byte(c.event()), &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n.E)
	}
	if d := cmp.Diff([]string{"frm.objectInserted", "portos.resources.changed", "sys.newUser"}, got); d != "" {
		t.Error(d)
	}
	noon := subject.Clock(subject.Platform, "Noon")
	for range 2 { // the second, because presence may come between
		if err := w.nats.Bus().NC.PublishMsg(&nats.Msg{Subject: noon, Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"frm.time.Noon@2026-01-05T11:02:00Z"}, "ce-source": {"/scheduler"}, "ce-type": {"frm.time.Noon"}, "ce-time": {"2026-01-05T11:02:00.041Z"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		if got := c.event(); strings.Contains(got, "frm.time") {
			if want := `{"e":"frm.time.Noon","s":{"c":"","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":"2026-01-05T11:02:00.041Z","ea":null,"p":null}`; got != want {
				t.Error(cmp.Diff(want, got))
			}
			break
		}
	}
}

// SR4: an event that expires while it waits for a poll is not delivered.
func TestSR4ExpiresInTheQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	query := w.hubNegotiate(token)
	w.call("GET", query, token, "")
	w.call("POST", query, token, `{"protocol":"json","version":1}`+"\x1e"+`{"type":1,"target":"Subscribe","arguments":[{"e":"portos.resources.changed"}]}`+"\x1e")
	ea := time.Now().Add(300 * time.Millisecond)
	publish := func(id string, ea time.Time) {
		h := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/x"}, "ce-type": {"devices.created"}, "ce-subject": {id}}
		if !ea.IsZero() {
			h.Set("ce-expirytime", ea.UTC().Format(time.RFC3339Nano))
		}
		w.publishMsg(&nats.Msg{Subject: "evt.AA.devices.created", Header: h, Data: []byte(`{}`)})
	}
	publish("first", ea) // which waits to be polled
	publish("second", ea)
	publish("third", time.Time{})
	bustest.Eventually(t, patience, "all have been routed", func() bool {
		all := w.s.hub.all()
		all[0].mu.Lock()
		defer all[0].mu.Unlock()
		return len(all[0].queue) >= 2 && time.Now().After(ea)
	})
	got := ""
	for !strings.Contains(got, "third") {
		_, body := w.call("GET", query, token, "")
		got += body
	}
	if strings.Contains(got, "first") || strings.Contains(got, "second") {
		t.Errorf("expired events came: %q", got)
	}
	w.call("DELETE", query, token, "")
}

// hubNegotiate answers the hub's path with a new id.
func (w *world) hubNegotiate(token string) string {
	w.t.Helper()
	_, body := w.call("POST", HubPath+"/negotiate?negotiateVersion=1", token, "")
	var n struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(body), &n); err != nil || n.ConnectionToken == "" {
		w.t.Fatalf("negotiate: %s", body)
	}
	return HubPath + "?id=" + n.ConnectionToken
}

// SR1: two replicas share the key, and know of each other's connections.
func TestSR1TwoGateways(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := newWorld(t, beside(a))
	token := a.token()
	query := a.hubNegotiate(token)
	if status, body := b.call("GET", query, token, ""); status != 200 || body != "" {
		t.Fatalf("first poll at the other: %d %s", status, body)
	}
	for method, query := range map[string]string{"GET": query, "POST": query, "DELETE": query} {
		if status, body := a.call(method, query, token, ""); status != 404 || !strings.Contains(body, `"connection_elsewhere"`) || !strings.Contains(body, b.s.signals.id) {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	if status, _ := b.call("DELETE", query, token, ""); status != 202 {
		t.Errorf("delete: %d", status)
	}
	bustest.Eventually(t, patience, "nobody has it", func() bool {
		_, body := a.call("POST", query, token, "")
		return strings.Contains(body, "connection_unknown")
	})
}

// SR1: what browsers ask before they connect from another origin.
func TestSR1CORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.AllowedOrigins = []string{"shop.example.com"} }))
	for _, c := range []struct {
		method, path, origin, token string
		status                      int
		allowed                     bool
	}{
		{"OPTIONS", HubPath + "/negotiate", "https://shop.example.com", "", 204, true},
		{"OPTIONS", HubPath, "https://shop.example.com", "", 204, true},
		{"OPTIONS", HubPath, "https://evil.example.com", "", 403, false},
		{"POST", HubPath + "/negotiate", "https://shop.example.com", "", 401, true},
		{"POST", HubPath + "/negotiate", "https://evil.example.com", w.token(), 403, false},
		{"POST", HubPath + "/negotiate", "https://shop.example.com", w.token(), 200, true},
		{"GET", HubPath + "?id=nonsense", "https://shop.example.com", w.token(), 404, true},
		{"DELETE", HubPath, "https://shop.example.com", w.token(), 400, true},
		{"GET", HubPath, "https://evil.example.com", w.token(), 403, false},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), c.method, w.http.URL+c.path, nil)
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Access-Control-Request-Headers", "authorization,x-requested-with,x-signalr-user-agent")
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		h := resp.Header
		allowed := h.Get("Access-Control-Allow-Origin") == c.origin && h.Get("Access-Control-Allow-Credentials") == "true" && h.Get("Vary") == "Origin"
		if resp.StatusCode != c.status || allowed != c.allowed {
			t.Errorf("%s %s from %s: %d %v", c.method, c.path, c.origin, resp.StatusCode, h)
		}
		if c.method == "OPTIONS" && c.allowed && (h.Get("Access-Control-Allow-Methods") != "GET, POST, DELETE" || h.Get("Access-Control-Allow-Headers") != "authorization,x-requested-with,x-signalr-user-agent") {
			t.Errorf("preflight: %v", h)
		}
	}
}

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

// Goodbyes of a gateway that stops: over every transport, with a way back.
func TestSR1Drain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	socket := w.hubOpen(token)
	stream := w.hubNegotiate(token)
	events := w.stream(stream, token, "Accept", "text/event-stream")
	w.call("POST", stream, token, `{"protocol":"json","version":1}`+"\x1e")
	polls := w.hubNegotiate(token)
	w.call("GET", polls, token, "")
	w.call("POST", polls, token, `{"protocol":"json","version":1}`+"\x1e")
	w.call("GET", polls, token, "")
	w.hubNegotiate(token)
	w.call("GET", w.hubNegotiate(token), token, "") // which never shakes hands
	for path, want := range map[string]bool{polls: true, stream: false, HubPath: false, HubPath + "/x" + strings.TrimPrefix(polls, HubPath): false} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", path, nil)
		if w.s.Expects(r) != want {
			t.Errorf("%s is expected: %v", path, !want)
		}
	}
	polled := make(chan string, 1)
	go func() {
		_, body := w.call("GET", polls, token, "")
		polled <- body
	}()
	told := make(chan hubMessage, 1)
	go func() {
		told <- socket.next()
		_, _ = socket.read() // answers the close frame
	}()
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stop took %s", took)
	}
	const goodbye = `{"type":7,"allowReconnect":true}` + "\x1e"
	if m := <-told; m.Type != 7 || !m.AllowReconnect || m.Error != "" {
		t.Errorf("socket: %+v", m)
	}
	if body := <-polled; body != goodbye {
		t.Errorf("poll: %q", body)
	}
	all, err := io.ReadAll(events.in)
	if err != nil || !strings.HasSuffix(string(all), "data: "+goodbye+"\r\n\r\n") {
		t.Errorf("stream: %q %v", all, err)
	}
}

// A client that does not read is cut, and nobody else waits for it.
func TestSR1SlowClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.QueueBytes, c.WriteTimeout = 64<<10, time.Second }))
	slow := w.hubOpen(w.token())
	slow.subscribe(`{"e":"portos.resources.changed"}`)
	quick := w.hubOpen(w.token())
	quick.subscribe(`{"e":"portos.resources.changed"}`)
	big := `{"x":"` + strings.Repeat("x", 60<<10) + `"}`
	for n := 0; len(w.s.hub.all()) == 2; n++ {
		if n == 1000 {
			t.Fatal("nobody is cut")
		}
		w.publish("evt.AA.devices.created", big)
		quick.event()
	}
	for { // it may have been told, or cut in the middle of a write
		if _, err := slow.read(); err != nil {
			break
		}
	}
}

// Calls that come faster than they may wait, and are all made.
func TestSR1CallsAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &hubWindow{s: &Service{config: Config{MaxFrameRate: 10}}}
		began := time.Now()
		for range 150 {
			if err := w.slowDown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("150 calls at 10 a second, 100 of them at once, took %s", took)
		}
	})
}

// Whatever a client calls Subscribe with, it is refused or means one thing.
func FuzzSubscribe(f *testing.F) {
	for _, seed := range []string{
		`{"e":"portos.resources.changed","r":[{"n":"devices","a":["created","updated","deleted"]}]}`, `{"e":"portos.licence.activated"}`, `{"e":"x","r":null}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	s := &Service{config: Default()}
	p := &auth.Principal{Tenants: []string{"AA"}, Grants: auth.Everything()}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := s.hubFilter([]json.RawMessage{b})
		if err != nil {
			return
		}
		keys, err := got.keys(p)
		if err != nil || len(keys) == 0 {
			t.Fatalf("%q: %+v has no keys: %v", b, got, err)
		}
		for _, k := range keys {
			if got.resources != "" && (k.topic == "" || k.view != resourceChanged) {
				t.Fatalf("%q: %+v", b, k)
			}
		}
	})
}
