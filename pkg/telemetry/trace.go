package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/belfry-events/belfry/pkg/fault"
)

// TraceOptions configures NewTracing.
type TraceOptions struct {
	Endpoint string  // OTLP/HTTP collector, e.g. "http://127.0.0.1:4318"; "" = no traces
	Service  string  // service.name
	Version  string  // service.version
	Sample   float64 // share of new traces that are recorded, 0 to 1; a caller's decision wins
}

// Tracing is where spans come from, and go to.
type Tracing struct {
	trace.TracerProvider
	stop func(context.Context) error
}

// NewTracing starts an exporter if there is an endpoint. Without one, spans cost
// nothing, and a caller's trace context is still passed on. Code invalid_config,
// naming trace.endpoint or trace.sample.
func NewTracing(ctx context.Context, o TraceOptions) (*Tracing, error) {
	if !(o.Sample >= 0 && o.Sample <= 1) { // also refuses NaN
		return nil, fault.Field(fault.InvalidConfig, "trace.sample", "%v is not between 0 and 1", o.Sample)
	}
	if o.Endpoint == "" {
		return &Tracing{noop.NewTracerProvider(), func(context.Context) error { return nil }}, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.Field(fault.InvalidConfig, "trace.endpoint", "is not a URL such as http://127.0.0.1:4318")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces" // as OTEL_EXPORTER_OTLP_ENDPOINT is understood
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("start the exporter of traces: %w", err)
	}
	p := newProvider(o, sdktrace.WithBatcher(exporter))
	return &Tracing{p, p.Shutdown}, nil
}

func newProvider(o TraceOptions, out sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(out,
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))),
		// The names are OpenTelemetry's semantic conventions.
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service),
			attribute.String("service.version", o.Version),
		)))
}

// Stop sends what is still to be sent, until ctx ends.
func (t *Tracing) Stop(ctx context.Context) error {
	if err := t.stop(ctx); err != nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}
