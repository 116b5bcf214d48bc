package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// traces is an OpenTelemetry collector that keeps the spans it is sent.
type traces struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
}

func newTraces(t *testing.T) *traces {
	t.Helper()
	c := &traces{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// ServeHTTP is OTLP over HTTP, protobuf.
func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q collector.ExportTraceServiceRequest
	b, err := io.ReadAll(r.Body)
	if err != nil || proto.Unmarshal(b, &q) != nil {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range q.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// about names the spans of one trace that carry the event's id, sorted.
func (c *traces) about(trace, id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, s := range c.spans {
		of := slices.ContainsFunc(s.GetAttributes(), func(a *common.KeyValue) bool {
			return a.GetKey() == "event_id" && a.GetValue().GetStringValue() == id
		})
		if of && string(s.GetTraceId()) == trace {
			names = append(names, s.GetName())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// One trace leads from the HTTP request that publishes to the write that shows
// the event in a window, over NATS and through the log.
func TestTrace(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		window := openWindow(t, w, w.token())
		status, body := post(t, w, w.token(), map[string]string{
			"Content-Type": "application/cloudevents+json",
			"traceparent":  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}, `{"specversion":"1.0","id":"traced","source":"/t","type":"invoices.created"}`)
		if status != http.StatusOK {
			t.Fatalf("answered %d: %s", status, body)
		}
		window.want("traced")
		trace := "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
		want := []string{"gateway.publish", "gateway.route", "gateway.write"}
		bustest.Eventually(t, patience, "the trace has its three hops", func() bool {
			return slices.Equal(w.traces.about(trace, "traced"), want)
		})
	})
}
