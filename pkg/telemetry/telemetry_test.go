package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestPropagation(t *testing.T) {
	t.Parallel()
	in := nats.Header{"traceparent": {traceparent}, "tracestate": {"vendor=1"}}
	ctx := telemetry.Extract(t.Context(), in)
	if got := trace.SpanContextFromContext(ctx); !got.IsRemote() || got.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Fatalf("extracted %v", got)
	}
	out := nats.Header{}
	telemetry.Inject(ctx, out)
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
	h := http.Header{"Traceparent": {traceparent}}
	if got := trace.SpanContextFromContext(telemetry.ExtractHTTP(t.Context(), h)); !got.IsValid() {
		t.Error("nothing extracted from HTTP headers")
	}
}

func TestNothingToPropagate(t *testing.T) {
	t.Parallel()
	out := nats.Header{}
	telemetry.Inject(t.Context(), out)
	if len(out) > 0 {
		t.Errorf("injected %v", out)
	}
	for _, h := range []nats.Header{nil, {}, {"traceparent": {}}, {"traceparent": {"nonsense"}}, {"Traceparent": {traceparent}}} {
		if trace.SpanContextFromContext(telemetry.Extract(t.Context(), h)).IsValid() {
			t.Errorf("extracted something from %v", h)
		}
	}
}

// Without a collector spans are not recorded, and the caller's trace goes on.
func TestTracingWithoutEndpoint(t *testing.T) {
	t.Parallel()
	tr, err := telemetry.NewTracing(t.Context(), telemetry.TraceOptions{Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := telemetry.Extract(t.Context(), nats.Header{"traceparent": {traceparent}})
	ctx, span := tr.Tracer("test").Start(ctx, "work")
	if span.IsRecording() {
		t.Error("recording")
	}
	out := nats.Header{}
	telemetry.Inject(ctx, out)
	if out.Get("traceparent") != traceparent {
		t.Errorf("passed on %v", out)
	}
	if err := tr.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, endpoint := range []string{"127.0.0.1:4318", "ftp://host", "http://", "%"} {
		if _, err := telemetry.NewTracing(t.Context(), telemetry.TraceOptions{Endpoint: endpoint}); fault.CodeOf(err) != fault.InvalidConfig {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
	for _, sample := range []float64{-0.1, 1.1} {
		if _, err := telemetry.NewTracing(t.Context(), telemetry.TraceOptions{Sample: sample}); fault.CodeOf(err) != fault.InvalidConfig {
			t.Errorf("sample %v: %v", sample, err)
		}
	}
}

func TestTracingSendsToTheCollector(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer collector.Close()
	tr, err := telemetry.NewTracing(t.Context(), telemetry.TraceOptions{Endpoint: collector.URL, Service: "test", Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tr.Tracer("test").Start(t.Context(), "work")
	out := nats.Header{}
	telemetry.Inject(ctx, out)
	span.End()
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out.Get("traceparent") == "" {
		t.Error("our own span is not passed on")
	}
	select {
	case p := <-paths:
		if p != "/v1/traces" {
			t.Errorf("sent to %s", p)
		}
	case <-t.Context().Done():
		t.Error("nothing sent")
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(telemetry.LogOptions{Level: "warn", Format: "auto", Writer: &out})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not this")
	cause := errors.New("disk full")
	log.Warn("this", telemetry.KeyDuration, 1500*time.Millisecond,
		telemetry.Err(fmt.Errorf("store: %w", fault.Wrap(fault.Unavailable, cause, "not now"))))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", &out, err)
	}
	delete(line, "time")
	want := map[string]any{"level": "WARN", "msg": "this", "duration": "1.5s", "err": "store: not now: disk full"}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
	if telemetry.Err(nil).Key != "" {
		t.Error("no error has an attribute")
	}
	out.Reset()
	log, err = telemetry.NewLogger(telemetry.LogOptions{Format: "text", Writer: &out})
	if err != nil || !log.Enabled(t.Context(), slog.LevelInfo) || log.Enabled(t.Context(), slog.LevelDebug) {
		t.Errorf("default level: %v", err)
	}
	log.Info("hello")
	if !strings.Contains(out.String(), "level=INFO msg=hello") {
		t.Error(out.String())
	}
	for field, o := range map[string]telemetry.LogOptions{"log.level": {Level: "loud"}, "log.format": {Format: "xml"}} {
		if _, err := telemetry.NewLogger(o); fault.CodeOf(err) != fault.InvalidConfig || fault.From(err).Details()["field"] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := telemetry.NewHealth()
		if s := h.State(t.Context()); !s.Ready || s.Parts == nil {
			t.Errorf("without checks: %+v", s)
		}
		release := make(chan struct{})
		h.Add("b", func(context.Context) error { return nil })
		h.Add("a", func(context.Context) error { return fault.New(fault.StreamLost, "EVENTS is missing") })
		h.Add("d", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		h.Add("e", func(context.Context) error { <-release; return nil }) // ignores its ctx
		h.Add("c", func(context.Context) error { return errors.New("password is hunter2") })
		want := telemetry.State{Parts: []telemetry.PartState{
			{Name: "a", Code: fault.StreamLost, Message: "EVENTS is missing"},
			{Name: "b", Ready: true},
			{Name: "c", Code: fault.Internal, Message: "internal error"},
			{Name: "d", Code: fault.Unavailable, Message: "the call did not finish in time"},
			{Name: "e", Code: fault.Unavailable, Message: "the call did not finish in time"},
		}}
		if diff := cmp.Diff(want, h.State(t.Context())); diff != "" {
			t.Error(diff)
		}
		close(release)
	})
}

func TestAdminHandler(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	mux := telemetry.AdminHandler(telemetry.NewRegistry("gateway", "v1"), h)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	h.Add("bus", func(context.Context) error { return fault.New(fault.Unavailable, "not connected") })
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/healthz", `{"alive":true}`, 200},
		{"/readyz", `{"ready":false,"parts":[{"name":"bus","ready":false,"code":"unavailable","message":"not connected"}]}`, 503},
		{"/metrics", `belfry_build_info{service="gateway",version="v1"} 1`, 200},
		{"/metrics", "\nbelfry_ready 0\n", 200},
		{"/debug/pprof/", "goroutine", 200},
		{"/debug/pprof/cmdline", "", 200},
	} {
		if w := get(c.path); w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
	h.Add("bus", func(context.Context) error { return nil })
	if w := get("/readyz"); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"ready":true,"parts":[{"name":"bus","ready":true}]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("/metrics"); !strings.Contains(w.Body.String(), "\nbelfry_ready 1\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
