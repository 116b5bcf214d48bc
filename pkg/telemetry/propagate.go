package telemetry

import (
	"context"
	"net/http"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// propagator carries traceparent and tracestate (W3C Trace Context). Not
// baggage: what strangers put there would travel through every service.
var propagator = propagation.TraceContext{}

// natsCarrier is nats.Header as a carrier. NATS compares keys exactly, so the
// keys are "traceparent" and "tracestate" as the propagator writes them, where
// http.Header would write "Traceparent".
type natsCarrier nats.Header

func (c natsCarrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c natsCarrier) Set(key, value string) { nats.Header(c).Set(key, value) }
func (c natsCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// Inject writes ctx's trace context into h, if there is one. h must not be nil.
func Inject(ctx context.Context, h nats.Header) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		propagator.Inject(ctx, natsCarrier(h))
	}
}

// Extract returns ctx with the trace context of h as its remote parent; ctx
// itself if h has none. h may be nil.
func Extract(ctx context.Context, h nats.Header) context.Context {
	if len(h["traceparent"]) == 0 { // most messages: no allocation
		return ctx
	}
	return propagator.Extract(ctx, natsCarrier(h))
}

// ExtractHTTP is Extract for the headers of an HTTP request.
func ExtractHTTP(ctx context.Context, h http.Header) context.Context {
	if h.Get("traceparent") == "" {
		return ctx
	}
	return propagator.Extract(ctx, propagation.HeaderCarrier(h))
}
