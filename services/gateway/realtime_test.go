package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// app is a connection as customers have it: no credentials, an account of its own.
func (w *world) app() *nats.Conn {
	w.t.Helper()
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	return nc
}

// as is a token of any user in some tenants, with everything granted.
func (w *world) as(user string, tenants ...string) string {
	return w.sign(auth.Claims{Subject: user, Tenants: tenants, Grants: auth.Everything(), TTL: time.Hour})
}

// text is a build function.
func text(s string) func(context.Context) (event.Event, error) {
	return func(context.Context) (event.Event, error) { return event.Event{Data: []byte(s)}, nil }
}

var anna = realtime.Recipient{Tenant: "AA", User: "anna"}

// seen waits until every gateway knows of a person on so many gateways.
func seen(t *testing.T, p roster.Person, gateways int, worlds ...*world) {
	t.Helper()
	for _, w := range worlds {
		bustest.Eventually(t, patience, "the gateways know of each other", func() bool { return w.s.who.Gateways(p) == gateways })
	}
}

func TestRT2EveryWindowOfAUserHasItWithoutSubscribing(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := newWorld(t, beside(a))
	nc := a.app()
	windows := []*window{a.open(a.token()), a.open(a.token()), b.open(b.token("subscribe:nothing"))}
	stream := b.stream("/v1/sse?topic=none", b.token())
	if e := stream.next(); e.id == "" {
		t.Fatalf("the stream begins with %+v", e)
	}
	other := a.open(a.as("eva", "AA"))
	foreign := a.open(a.as("anna", "BB"))
	seen(t, roster.Person(anna), 2, a, b)

	reach, err := realtime.Notify(t.Context(), nc, anna, "mail", text(`{"from":"Jan","unreadCount":3}`))
	// A gateway that is too busy to answer in time is not counted, and that is said.
	if all := (realtime.Reach{Gateways: 2, Connections: 4, Complete: true}); err != nil || reach.Complete && reach != all || reach.Connections == 0 {
		t.Fatalf("reached %+v, %v", reach, err)
	}
	for i, c := range windows {
		f := c.event()
		if f.Cursor != "" || f.Event.Type != "MAIL" || f.Event.Tenant != "AA" || f.Event.Recipient != "anna" || string(f.Event.Data) != `{"from":"Jan","unreadCount":3}` {
			t.Errorf("window %d got %+v", i, f)
		}
	}
	if e := stream.next(); e.id != "" || e.name != "" || !strings.Contains(e.data, `"type":"MAIL"`) {
		t.Errorf("the stream got %+v", e) // no id: the browser's last one stays
	}
	for _, c := range []*window{other, foreign} {
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("somebody else got %+v", f)
		}
	}
}

func TestRT3NobodyThereFailsAtOnceAndBuildsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	build := func(context.Context) (event.Event, error) {
		t.Error("built for nobody")
		return event.Event{}, nil
	}
	for _, to := range []realtime.Recipient{anna, {Tenant: "AA"}, {}} {
		// The NATS server itself says so: a question that had to wait for nobody to
		// answer would end as unavailable.
		reach, err := realtime.Notify(t.Context(), nc, to, "NOT", build)
		if fault.CodeOf(err) != fault.NobodyThere || !reach.Complete {
			t.Errorf("%v: %+v, %v", to, reach, err)
		}
	}
	c := w.open(w.token())
	for _, to := range []realtime.Recipient{anna, {Tenant: "AA"}, {}} {
		reach, err := realtime.Probe(t.Context(), nc, to, "")
		if err != nil || reach.Connections != 1 {
			t.Errorf("%v: %+v, %v", to, reach, err)
		}
	}
	if f := c.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("a probe delivered %+v", f)
	}
	_ = c.ws.CloseNow()
	bustest.Eventually(t, patience, "nobody is there again", func() bool {
		_, err := realtime.Notify(t.Context(), nc, realtime.Recipient{Tenant: "AA"}, "NOT", text(`{}`))
		return fault.CodeOf(err) == fault.NobodyThere
	})
	if n := w.nats.Bus().NC.NumSubscriptions(); n > 8 {
		t.Errorf("with nobody there the gateway holds %d subscriptions", n)
	}
}

func TestRT2AConnectionNarrowsTheCodesItWants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	all, mail, none := w.open(w.token()), w.open(w.token()+"&code=mail&code=VOIP"), w.open(w.token()+"&code=none")
	stream := w.stream("/v1/sse?topic=none&code=NOT", w.token())
	stream.next()
	count := func(code string, want int) {
		t.Helper()
		if reach, err := realtime.Count(t.Context(), nc, anna, code); err != nil || reach.Connections != want {
			t.Errorf("%s would reach %+v, %v; want %d", code, reach, err, want)
		}
	}
	count("", 4)
	count("MAIL", 2)
	count("NOT", 2)
	count("WRN", 1)
	if f := none.ask(`{"id":"1","narrow":{"codes":["wrn","SYS_MSG"]}}`); f.Narrowed == nil || f.ID != "1" || !cmp.Equal(f.Narrowed.Codes, []string{"SYS_MSG", "WRN"}) {
		t.Errorf("narrowed: %+v", f)
	}
	count("WRN", 2)
	if f := none.ask(`{"narrow":{}}`); f.Narrowed == nil || len(f.Narrowed.Codes) > 0 {
		t.Errorf("not narrowed any more: %+v", f)
	}
	count("MAIL", 3)
	if f := none.ask(`{"narrow":{"none":true}}`); f.Narrowed == nil {
		t.Errorf("no codes: %+v", f)
	}
	count("MAIL", 2)
	if reach, err := realtime.Notify(t.Context(), nc, anna, "MAIL", text(`{}`)); err != nil || reach.Connections != 2 {
		t.Errorf("reached %+v, %v", reach, err)
	}
	all.event()
	mail.event()
	if f := none.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("who wants nothing got %+v", f)
	}
	// Whoever wants it only is nobody for all the others.
	_ = all.ws.CloseNow()
	bustest.Eventually(t, patience, "nobody wants a warning", func() bool {
		_, err := realtime.Notify(t.Context(), nc, anna, "WRN", text(`{}`))
		return fault.CodeOf(err) == fault.NobodyThere
	})
	for frame, code := range map[string]string{
		`{"narrow":{"codes":["frm.time.Noon"]}}`:       "unknown_name",
		`{"narrow":{"codes":["MAIL"],"none":true}}`:    "invalid_request",
		`{"subscribe":{"name":"mail"}}`:                "unknown_name",
		`{"narrow":{"code":["MAIL"]}}`:                 "invalid_frame",
		`{"narrow":{"codes":["MAIL"]},"subscribe":{}}`: "invalid_frame",
	} {
		if f := mail.ask(frame); f.Error == nil || f.Error.Code != code {
			t.Errorf("%s: %+v, want %s", frame, f, code)
		}
	}
	if status, body := w.call("GET", "/v1/sse?code=MALI", w.token(), ""); status != 400 || !strings.Contains(body, "unknown_name") {
		t.Errorf("a misspelt code: %d %s", status, body)
	}
}

func TestRT5ToATenantAndToEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	a, both, b := w.open(w.as("anna", "AA")), w.open(w.as("eva", "AA", "BB")), w.open(w.as("jan", "BB"))
	for _, c := range []struct {
		to   realtime.Recipient
		code string
		n    int
	}{{realtime.Recipient{Tenant: "AA"}, "SYS_MSG", 2}, {realtime.Recipient{}, "SHUTDOWN", 3}, {realtime.Recipient{Tenant: "BB"}, "PERF", 2}} {
		reach, err := realtime.Notify(t.Context(), nc, c.to, c.code, text(`{}`))
		if err != nil || reach.Connections != c.n {
			t.Errorf("%v: %+v, %v, want %d", c.to, reach, err, c.n)
		}
	}
	for c, want := range map[*window][]string{a: {"SYS_MSG", "SHUTDOWN"}, both: {"SYS_MSG", "SHUTDOWN", "PERF"}, b: {"SHUTDOWN", "PERF"}} {
		for _, code := range want {
			if f := c.event(); f.Event.Type != code {
				t.Errorf("got %+v, want %s", f.Event, code)
			}
		}
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("once more: %+v", f)
		}
	}
}

func TestRT6AThousandArriveInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	c := w.open(w.token())
	const n = 1000
	for i := range n {
		subj := []string{"rt.AA.u.anna", "rt.AA.all", "rt._.all"}[i%3]
		if err := nc.PublishMsg(&nats.Msg{Subject: subj, Header: nats.Header{"ce-type": {"PERF"}}, Data: fmt.Appendf(nil, `{"operation":"%d"}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if f := c.event(); string(f.Event.Data) != fmt.Sprintf(`{"operation":"%d"}`, i) {
			t.Fatalf("event %d is %s", i, f.Event.Data)
		}
	}
}

func TestRT2NamesCannotReachEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	users := []string{"anna", "an.na", "*", ">", "anna.>", "žlutý kůň", "all", "u", "_", "a=2Eb", "rt._.all"}
	windows := map[string]*window{}
	for _, u := range users {
		windows[u] = w.open(w.as(u, "AA"))
	}
	victim := w.open(w.as("anna", "A.A"))
	for _, u := range users {
		reach, err := realtime.Notify(t.Context(), nc, realtime.Recipient{Tenant: "AA", User: u}, "NOT", text(fmt.Sprintf(`{"text":%q}`, u)))
		if err != nil || reach.Connections != 1 {
			t.Errorf("%q: %+v, %v", u, reach, err)
		}
		if f := windows[u].event(); f.Event.Recipient != u {
			t.Errorf("%q got %+v", u, f.Event)
		}
	}
	// Wildcards where a name belongs, foreign tenants, and what is no name at all.
	for _, subj := range []string{"rt.AA.u.*", "rt.AA.u.>", "rt.*.u.anna", "rt.A.A.u.anna", "rt.AA.u.an.na", "rt.AA.anna", "rt._.u.anna", "rt.AA.u.ANNA"} {
		m := nats.NewMsg(subj)
		m.Data = []byte(`{}`)
		if reply, err := nc.RequestMsg(m, 300*time.Millisecond); err == nil {
			t.Errorf("%s was answered %s", subj, reply.Data)
		}
	}
	for u, c := range windows {
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("%q got %+v", u, f)
		}
	}
	if f := victim.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("another tenant got %+v", f)
	}
}

func TestRT1BareExpiredAndBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nc := w.app()
	c := w.open(w.token())
	send := func(h nats.Header, body string) {
		t.Helper()
		if err := nc.PublishMsg(&nats.Msg{Subject: "rt.AA.u.anna", Header: h, Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	send(nats.Header{"ce-type": {"MAIL"}, "ce-expirytime": {past}}, `{"from":"too late"}`)
	send(nil, `{"bare":1}`)
	send(nil, `not JSON`)
	send(nats.Header{"ce-type": {"MAIL"}}, `{"from":"headers"}`)
	send(nats.Header{"ce-type": {"x y\x00"}, "ce-time": {"yesterday"}, "ce-topic": {"invoices"}, "ce-verb": {"created"}}, `[`)
	send(nats.Header{"Belfry-Probe": {"1"}}, `a probe nobody waits for`)
	send(nats.Header{"Content-Type": {"application/cloudevents+json"}}, `{"specversion":"1.0","id":"s","source":"/s","type":"not","tenant":"BB","data":{"text":"hi"}}`)
	for i, want := range []struct{ kind, data, malformed string }{
		{"unknown", `{"bare":1}`, ""},
		{"unknown", `"not JSON"`, "data: is not JSON, and no datacontenttype says what it is"},
		{"MAIL", `{"from":"headers"}`, ""},
		{"unknown", `"["`, "*"},
		{"NOT", `{"text":"hi"}`, ""},
	} {
		f := c.event()
		if f.Event.Type != want.kind || string(f.Event.Data) != want.data || f.Event.Tenant != "AA" || f.Event.Topic != "" ||
			(f.Event.Malformed != want.malformed && (want.malformed != "*" || f.Event.Malformed == "")) {
			t.Errorf("%d: got %+v with %s, want %+v", i, f.Event, f.Event.Data, want)
		}
	}
	if f := c.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("one more: %+v", f)
	}
	// What the SDK refuses before it is sent, by name.
	for payload, want := range map[string]string{`{"form":"Jan"}`: `unknown field "form"`, `[]`: "data", `{"unreadCount":"many"}`: "unread_count"} {
		_, err := realtime.Notify(t.Context(), nc, anna, "MAIL", text(payload))
		if fault.CodeOf(err) != fault.InvalidEvent || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "unreadCount") {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

// RT4: whatever is real-time is in no stream, before and after it has been delivered.
func TestRT4NothingIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := func() map[string]uint64 {
		t.Helper()
		last := map[string]uint64{}
		streams := w.nats.Bus().JS.ListStreams(t.Context())
		for s := range streams.Info() {
			last[s.Config.Name] = s.State.LastSeq
		}
		if err := streams.Err(); err != nil {
			t.Fatal(err)
		}
		return last
	}
	c := w.open(w.token())
	c.ask(`{"subscribe":{"name":"presence"}}`)
	c.ask(`{"subscribe":{"name":"frm.time.Noon"}}`)
	before := stored()
	for _, to := range []realtime.Recipient{anna, {Tenant: "AA"}, {}} {
		if _, err := realtime.Notify(t.Context(), w.app(), to, "NOT", text(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.nats.Bus().NC.Publish("clock._.Noon", nil); err != nil {
		t.Fatal(err)
	}
	eva := w.open(w.as("eva", "AA"))
	for seen := map[string]int{}; seen["NOT"] < 3 || seen["frm.time.Noon"] < 1 || seen["presence.online"] < 1; {
		f := c.event()
		seen[f.Event.Type]++
	}
	_ = eva.ws.CloseNow()
	if d := cmp.Diff(before, stored()); d != "" || len(before) == 0 {
		t.Errorf("stored: (-before +after)\n%s", d)
	}
}
