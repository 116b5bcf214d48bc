package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Way is how a call came in.
type Way string

// The ways in, as metrics, traces and the audit log call them.
const (
	WayConnect Way = "connect"  // HTTP, Connect protocol; plain JSON by curl, too
	WayGRPC    Way = "grpc"     // HTTP/2
	WayGRPCWeb Way = "grpc_web" // HTTP, gRPC-Web
	WayRoute   Way = "route"    // HTTP, a plain route: POST /v1/events
	WayNATS    Way = "nats"     // request and reply on svc.<service>.<Method>
)

// call is one call of a method, whichever way it came in.
type call struct {
	service string // short name, as in its subject: "gateway"
	method  string // "Publish"
	way     Way
	who     *auth.Principal // nil until the caller is known, and if it never was
	began   time.Time
}

// Limiter says whether a caller may call once more. nil, or a fault with code
// rate_limited and the detail retry_after in seconds. Safe for concurrent use.
type Limiter interface {
	Allow(p *auth.Principal, cost int) error
}

type principalKey struct{}

// PrincipalOf is who calls, inside a handler of a Mux. Never nil there.
func PrincipalOf(ctx context.Context) *auth.Principal {
	p, _ := ctx.Value(principalKey{}).(*auth.Principal)
	return p
}

// chain is what every call of every way goes through:
//
//	trace ─▶ who is it? ─▶ too often? ─▶ handler ─▶ fault ─▶ metrics, log, audit
//
// identify says who calls; serve answers, and has the caller in its context.
func (m *Mux) chain(ctx context.Context, c *call,
	identify func(context.Context) (*auth.Principal, error), serve func(context.Context) error,
) *fault.Error {
	c.began = time.Now()
	ctx, span := m.o.Tracer.Start(ctx, c.service+"."+c.method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("rpc.system", string(c.way)), attribute.String("rpc.service", c.service), attribute.String("rpc.method", c.method)))
	defer span.End()
	err := func() (err error) {
		if c.who, err = identify(ctx); err != nil {
			return err
		}
		Identify(ctx, c.who)
		if m.o.Limiter != nil {
			if err := m.o.Limiter.Allow(c.who, 1); err != nil {
				return err
			}
		}
		return serve(context.WithValue(ctx, principalKey{}, c.who))
	}()
	if cause := fault.From(context.Cause(ctx)); err != nil && cause != nil && cause.Code() == fault.Draining {
		err = cause // the call was told to end, which is not its fault
	}
	m.finish(ctx, c, err, span)
	return fault.From(err)
}

// finish is the end of the chain.
func (m *Mux) finish(ctx context.Context, c *call, err error, span trace.Span) {
	code := "ok"
	if err != nil {
		code = string(fault.CodeOf(err))
		span.SetStatus(codes.Error, code)
		Refused(ctx, fault.CodeOf(err))
	}
	took := time.Since(c.began)
	m.stats.calls.WithLabelValues(c.service, c.method, string(c.way), code).Inc()
	m.stats.seconds.WithLabelValues(c.service, c.method, string(c.way)).Observe(took.Seconds())
	switch {
	case err == nil || fault.CodeOf(err).Kind() != fault.Ours:
		if m.o.Log.Enabled(ctx, slog.LevelDebug) {
			m.o.Log.DebugContext(ctx, "call", append(c.attrs(took), telemetry.KeyCode, code)...)
		}
	case c.way != WayRoute: // WriteError has logged those
		m.o.Log.ErrorContext(ctx, "call failed", append(c.attrs(took), telemetry.Err(err))...)
	}
}

// attrs is the call as the log tells it.
func (c *call) attrs(took time.Duration) []any {
	return []any{telemetry.KeyMethod, c.method, "service", c.service, "way", string(c.way), telemetry.KeyDuration, took}
}

// calls are the numbers of all calls, named belfry_api_….
type calls struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	parked  prometheus.Gauge
}

func newCalls(r prometheus.Registerer) *calls {
	labels := []string{"service", "method", "way"}
	c := &calls{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_api_calls_total", Help: "Calls of the services' APIs, by the way they came in and their code (ok, or that of the error).",
		}, append(labels, "code")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "belfry_api_call_seconds", Help: "How long calls took, from request to answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30, 90}, // up to the longest poll
		}, labels),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "belfry_api_nats_calls", Help: "Calls over NATS that are being answered now.",
		}),
	}
	r.MustRegister(c.calls, c.seconds, c.parked)
	return c
}
