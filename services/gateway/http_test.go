package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/belfry-events/belfry/pkg/fault"
)

// counter reads a counter.
func counter(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

// receipt is what a publisher is told of one event.
type receipt struct {
	ID, Cursor string
	Duplicate  bool
}

// GW6: the three CloudEvents modes are stored and reach an open window; the
// answer names the id and the cursor; the same id again is not stored twice.
func TestGW6Publish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	for _, test := range []struct {
		mode    string
		headers []string
		body    string
		ids     []string
	}{
		{"binary", []string{"ce-specversion", "1.0", "ce-id", "b1", "ce-source", "/billing", "ce-type", "invoices.created", "ce-subject", "4711", "Content-Type", "application/json"}, `{"total":12}`, []string{"b1"}},
		{"structured", []string{"Content-Type", "application/cloudevents+json"}, `{"specversion":"1.0","id":"s1","source":"/billing","type":"x","topic":"invoices","verb":"created","data":{"total":12}}`, []string{"s1"}},
		{"batch", []string{"Content-Type", "application/cloudevents-batch+json"}, `[{"specversion":"1.0","id":"a1","source":"/b","type":"invoices.created","data":1},{"specversion":"1.0","id":"a2","source":"/b","type":"invoices.created","data":2}]`, []string{"a1", "a2"}},
	} {
		for again := range 2 {
			status, body := w.call("POST", "/v1/events", w.token(), test.body, test.headers...)
			var answer struct {
				receipt
				Events []receipt
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
				t.Fatalf("%s: %d %s", test.mode, status, body)
			}
			if test.mode != "batch" {
				answer.Events = []receipt{answer.receipt}
			}
			for i, r := range answer.Events {
				if r.ID != test.ids[i] || r.Duplicate != (again == 1) {
					t.Errorf("%s: %+v", test.mode, r)
				}
				if again == 0 {
					if f := c.event(); f.Event.ID != r.ID || f.Cursor != r.Cursor || f.Event.Topic != "invoices" {
						t.Errorf("%s: got %+v at %s, want %+v", test.mode, f.Event, f.Cursor, r)
					}
				}
			}
		}
	}
	w.nothing(c)
}

// GW6: bad input is refused with its code, and nothing is stored.
func TestGW6BadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	structured := []string{"Content-Type", "application/cloudevents+json"}
	batch := []string{"Content-Type", "application/cloudevents-batch+json"}
	good := `{"specversion":"1.0","id":"1","source":"/b","type":"invoices.created"}`
	for name, test := range map[string]struct {
		token, body string
		headers     []string
		status      int
		code        fault.Code
	}{
		"no token":              {"", good, structured, 401, fault.TokenMissing},
		"bad token":             {"x", good, structured, 401, fault.TokenInvalid},
		"no grant":              {w.token("publish:orders"), good, structured, 403, fault.GrantMissing},
		"other tenant":          {w.token(), strings.Replace(good, `"id"`, `"tenant":"BB","id"`, 1), structured, 403, fault.TenantForbidden},
		"bare":                  {w.token(), `{"total":12}`, []string{"Content-Type", "application/json"}, 400, fault.NotACloudEvent},
		"unknown type":          {w.token(), good, []string{"Content-Type", "application/cloudevents+avro"}, 415, fault.UnsupportedContentType},
		"broken json":           {w.token(), good[1:], structured, 400, fault.InvalidEvent},
		"no source":             {w.token(), strings.Replace(good, `"source":"/b",`, "", 1), structured, 400, fault.InvalidEvent},
		"wrong specversion":     {w.token(), strings.Replace(good, "1.0", "0.3", 1), structured, 400, fault.InvalidEvent},
		"topic is a wildcard":   {w.token(), strings.Replace(good, `"id"`, `"topic":"*","verb":"x","id"`, 1), structured, 400, fault.InvalidTopic},
		"topic too long":        {w.token(), strings.Replace(good, `"id"`, `"topic":"`+strings.Repeat("x", 256)+`","verb":"x","id"`, 1), structured, 400, fault.InvalidTopic},
		"too large":             {w.token(), strings.Replace(good, `"id"`, `"data":"`+strings.Repeat("x", 1<<20+10)+`","id"`, 1), structured, 413, fault.EventTooLarge},
		"too many attributes":   {w.token(), strings.Replace(good, `"id"`, `"text":"`+strings.Repeat("x", 70<<10)+`","id"`, 1), structured, 413, fault.EventTooLarge},
		"empty batch":           {w.token(), `[]`, batch, 400, fault.InvalidRequest},
		"one bad in the batch":  {w.token(), "[" + good + "," + strings.Replace(good, "1.0", "9", 1) + "]", batch, 400, fault.InvalidEvent},
		"one forbidden in it":   {w.token("publish:invoices"), "[" + good + "," + strings.Replace(good, "invoices", "orders", 1) + "]", batch, 403, fault.GrantMissing},
		"binary without an id ": {w.token(), `{}`, []string{"ce-specversion", "1.0", "ce-source", "/b", "ce-type", "a.b"}, 400, fault.InvalidEvent},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := w.call("POST", "/v1/events", test.token, test.body, test.headers...)
			var e struct{ Code, Message string }
			if err := json.Unmarshal([]byte(body), &e); err != nil || status != test.status || e.Code != string(test.code) || e.Message == "" {
				t.Errorf("%d %.200s, want %d %s", status, body, test.status, test.code)
			}
		})
	}
	if p := w.page(""); len(p.Events) != 0 {
		t.Errorf("stored %d events", len(p.Events))
	}
}

// GW6: while the log is away a publish is refused in time, and may be repeated.
func TestGW6LogAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.StoreTimeout = time.Second }))
	w.nats.Stop()
	status, body := w.call("POST", "/v1/events", w.token(), `{}`, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/b", "ce-type", "invoices.created")
	if status != 503 || !strings.Contains(body, `"unavailable"`) {
		t.Errorf("%d %s", status, body)
	}
	w.nats.Resume()
	for status != 200 {
		status, body = w.call("POST", "/v1/events", w.token(), `{}`, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/b", "ce-type", "invoices.created")
		if status != 200 && status != 503 {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// GW6: the log is paged by cursor and filtered like a subscription; a page always
// shows what was published before it was asked for.
func TestGW6Read(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 25 {
		w.publish("evt.AA."+[...]string{"invoices", "orders"}[i%2]+".created", fmt.Sprint(i))
		w.publish("evt.BB.invoices.created", `"not ours"`)
		if p := w.page("?limit=1000"); len(p.Events) != i+1 {
			t.Fatalf("after %d events the log shows %d", i+1, len(p.Events))
		}
	}
	var got, pages int
	for cursor := ""; ; pages++ {
		p := w.page("?topic=INVOICES&limit=5&after=" + cursor)
		got += len(p.Events)
		for _, e := range p.Events {
			if e.Cursor <= cursor || e.Event.Type != "invoices.created" {
				t.Errorf("%+v behind %s", e, cursor)
			}
			cursor = e.Cursor
		}
		if cursor = p.Cursor; !p.More {
			break
		}
	}
	if got != 13 || pages < 2 {
		t.Errorf("%d events on %d pages", got, pages)
	}
	if p := w.page("?name=frm.objectInserted&limit=1"); len(p.Events) != 1 || p.Events[0].Event.Type != "frm.objectInserted" {
		t.Errorf("by name: %+v", p)
	}
	for query, code := range map[string]fault.Code{
		"?limit=0": fault.InvalidRequest, "?limit=1001": fault.InvalidRequest, "?limit=x": fault.InvalidRequest,
		"?after=x": fault.InvalidCursor, "?after=zzzzzzzz-0000000000000001": fault.CursorGone,
		"?topic=*": fault.InvalidTopic, "?name=x": fault.UnknownName, "?tenant=BB": fault.TenantForbidden,
	} {
		if p := w.page(query); p.Code != string(code) {
			t.Errorf("%s: %+v, want %s", query, p, code)
		}
	}
}

// GW1, GW2 over server-sent events.
func TestSSE(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.stream("/v1/sse?topic=invoices&topic=orders&verb=created", w.token())
	if ct := s.resp.Header.Get("Content-Type"); s.resp.StatusCode != 200 || !strings.HasPrefix(ct, "text/event-stream") {
		t.Fatalf("%d %s", s.resp.StatusCode, ct)
	}
	opening := s.next()
	if opening.id == "" || opening.data != "" {
		t.Fatalf("opening %+v", opening)
	}
	w.publish("evt.AA.invoices.created", `1`)
	w.publish("evt.AA.invoices.updated", `2`)
	w.publish("evt.AA.users.created", `3`)
	w.publish("evt.AA.orders.created", `4`)
	first, second := s.next(), s.next()
	if !strings.Contains(first.data, `"data":1`) || !strings.Contains(second.data, `"data":4`) || first.id >= second.id || opening.id >= first.id {
		t.Errorf("got %+v, %+v after %s", first, second, opening.id)
	}
	back := w.stream("/v1/sse?topic=invoices&topic=orders&verb=created", w.token(), "Last-Event-ID", opening.id)
	back.next()
	if a, b := back.next(), back.next(); a != first || b != second {
		t.Errorf("resumed with %+v, %+v", a, b)
	}
	lost := w.stream("/v1/sse", w.token(), "Last-Event-ID", "zzzzzzzz-0000000000000001")
	if e := lost.next(); e.name != "gone" || !strings.Contains(e.data, `"cursor_gone"`) {
		t.Errorf("got %+v", e)
	}
	lost.next() // its opening
	w.publish("evt.AA.users.created", `5`)
	if e := lost.next(); !strings.Contains(e.data, `"data":5`) {
		t.Errorf("after gone: %+v", e)
	}
	for path, status := range map[string]int{"/v1/sse?topic=*": 400, "/v1/sse?after=x": 400, "/v1/sse?name=x": 400, "/v1/sse?tenant=BB": 403} {
		if got, body := w.call("GET", path, w.token(), ""); got != status {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
}

// A browser that is cut between two forms of one event resumes behind the first.
func TestSSEForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/v1/sse?topic=invoices&name=frm.objectInserted"
	s := w.stream(path, w.token())
	s.next()
	w.publish("evt.AA.invoices.created", `1`)
	first, second := s.next(), s.next()
	if first.id != second.id+"+01" {
		t.Fatalf("ids %s, %s", first.id, second.id)
	}
	back := w.stream(path, w.token(), "Last-Event-ID", first.id)
	back.next()
	if e := back.next(); e != second {
		t.Errorf("resumed with %+v, want %+v", e, second)
	}
}

// One trace goes from the HTTP publish to the WebSocket write.
func TestTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	w := newWorld(t, tracer(provider.Tracer("test")))
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.call("POST", "/v1/events", w.token(), `{}`, "traceparent", "00-"+parent+"-00f067aa0ba902b7-01",
		"ce-specversion", "1.0", "ce-id", "t1", "ce-source", "/b", "ce-type", "invoices.created")
	c.event()
	w.stop() // all spans have ended
	names := map[string]bool{}
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID().String() == parent {
			names[s.Name()] = true
		}
	}
	for _, want := range []string{"gateway.publish", "gateway.route", "gateway.write"} {
		if !names[want] {
			t.Errorf("no span %s in the trace: %v", want, names)
		}
	}
}
