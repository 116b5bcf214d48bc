package objectevent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
)

// patience bounds every wait of a test; nothing waits for it to pass.
const opPatience = 2 * time.Minute

// opWorld is the service on a NATS server of its own, and the tenant AA reporting.
type opWorld struct {
	t        testing.TB
	nats     *bustest.Server
	registry *prometheus.Registry
	tokens   *auth.HS256
	s        *Service
	mux      *http.ServeMux
	http     *httptest.Server
	bubble   bool // no sockets: in a bubble of fake time
	stop     func()
	read     uint64 // of EVENTS, by next
}

// shapes adds what the service keeps to what bustest ensures.
func shapes(t topology.Options) bustest.Option {
	return bustest.Spec(func(s *topology.Spec) { *s = s.And(Topology(t)) })
}

func newOpWorld(t testing.TB) *opWorld {
	t.Helper()
	w := &opWorld{t: t, nats: bustest.Start(t, shapes(topology.Options{}))}
	w.start(w.nats.Bus())
	return w
}

// start runs the service until the test ends, or stop.
func (w *opWorld) start(b *bus.Bus) {
	w.t.Helper()
	var err error
	if w.tokens, err = auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}}); err != nil {
		w.t.Fatal(err)
	}
	w.registry, w.mux = prometheus.NewRegistry(), http.NewServeMux()
	env := process.Env{
		Log: slog.New(slog.DiscardHandler), Registry: w.registry, Tracer: noop.NewTracerProvider().Tracer(""),
		Guard: auth.NewGuard(auth.GuardOptions{Tokens: w.tokens}), Mux: w.mux, MaxEventBytes: topology.DefaultMaxEventBytes, Bus: b,
	}
	env.API = api.NewMux(api.MuxOptions{HTTP: w.mux, Guard: env.Guard, Registry: env.Registry, Tracer: env.Tracer, Log: env.Log, MaxBytes: 8 * env.MaxEventBytes})
	config := Default()
	config.ReportWait = time.Minute
	if w.s, err = New(Options{Config: config, Env: env}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.s.Run(ctx) }()
	select {
	case <-w.s.Ready():
	case err := <-ended:
		w.t.Fatalf("run: %v", err)
	}
	if !w.bubble {
		w.http = httptest.NewServer(w.mux)
	}
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
		if w.http != nil {
			w.http.Close()
		}
	}
	w.t.Cleanup(w.stop)
}

// in runs a part of a test of its own in the same world.
func (w *opWorld) in(t *testing.T, name string, f func()) {
	t.Run(name, func(t *testing.T) {
		defer func(outer testing.TB) { w.t = outer }(w.t)
		w.t = t
		f()
	})
}

// op reports an operation of AA as a raw client does. Headers come in pairs.
func (w *opWorld) op(subj, body string, headers ...string) uint64 {
	w.t.Helper()
	m := nats.NewMsg(subj)
	m.Data = []byte(body)
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	ack, err := w.nats.Bus().JS.PublishMsg(w.t.Context(), m)
	if err != nil {
		w.t.Fatalf("report on %s: %v", subj, err)
	}
	return ack.Sequence
}

// settled waits until all that was reported is decided.
func (w *opWorld) settled() {
	w.t.Helper()
	js := w.nats.Bus().JS
	bustest.Eventually(w.t, opPatience, "the queue is empty", func() bool {
		s, err := js.Stream(w.t.Context(), Operations)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
}

// next are the events of all that was reported, from where it was last called.
func (w *opWorld) next() []event.Event {
	w.t.Helper()
	w.settled()
	return w.soFar()
}

// soFar are the events stored since it, or next, was last called.
func (w *opWorld) soFar() (list []event.Event) {
	w.t.Helper()
	reader := eventlog.NewReader(w.nats.Bus().NC)
	for {
		m, ok, err := reader.Next(w.t.Context(), "evt.*.*.*", w.read+1)
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			return list
		}
		w.read = m.Seq
		list = append(list, event.Decode(m.Subject, m.Header, m.Data, event.Stored{Time: m.Time}))
	}
}

// views are the seeds' names of an event, as a client could ask for it.
func views(e event.Event) (names []string) {
	for _, v := range event.Views() {
		if v.Has(&e) {
			names = append(names, v.Name)
		}
	}
	return names
}

func (w *opWorld) token(grants ...string) string {
	w.t.Helper()
	gs := auth.Everything()
	if len(grants) > 0 {
		var err error
		if gs, err = auth.ParseGrants(grants); err != nil {
			w.t.Fatal(err)
		}
	}
	token, err := w.tokens.Sign(auth.Claims{Subject: "erp", Tenants: []string{"AA"}, Grants: gs, TTL: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// call makes an HTTP request and answers status and body.
func (w *opWorld) call(method, path, token, body string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// report reports one operation over HTTP; the answer is its outcome, or the fault.
func (w *opWorld) report(op string) (status int, answer map[string]any) {
	w.t.Helper()
	status, body := w.call(http.MethodPost, "/v1/operations", w.token(), `{"operations":[`+op+`]}`)
	var all struct {
		Operations []map[string]any `json:"operations"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		w.t.Fatalf("%d %s: %v", status, body, err)
	}
	if err := json.Unmarshal([]byte(body), &all); err == nil && len(all.Operations) == 1 {
		answer = all.Operations[0]
	}
	return status, answer
}

// count is a metric's value, over all its labels that match.
func (w *opWorld) count(name string, labels ...string) (sum float64) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			text := fmt.Sprint(m.GetLabel())
			matches := f.GetName() == name
			for _, l := range labels {
				matches = matches && strings.Contains(text, `"`+l+`"`)
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// member is a text member of a JSON object, "" if it has none.
func member(body, name string) string {
	var all map[string]any
	_ = json.Unmarshal([]byte(body), &all)
	text, _ := all[name].(string)
	return text
}
