package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// signalBacklog is how many events that are never stored may wait for their
// goroutine. More are dropped by the NATS client, which says so: nobody has them,
// and nothing else waits for them.
const signalBacklog = 16384

// signals are events that are never stored: real-time events, time events,
// presence. One channel and one goroutine take all of them, so they keep the order
// in which a sender sent them (RT6).
//
//	rt.…                    ──▶ crowd: every connection of the recipient that wants
//	                            the code; the sender is answered how many
//	clock.…, presence.…     ──▶ hub: who subscribed to the name
type signals struct {
	id    string // of this gateway
	in    chan *nats.Msg
	crowd *crowd
	hub   *hub
	who   *roster.Roster
	out   *slog.Logger
	stats *metrics
	trace trace.Tracer

	outgoing outgoing
}

// run is the signals' goroutine.
func (g *signals) run(ctx context.Context) {
	for {
		select {
		case m := <-g.in:
			if to, ok := subject.ParseRealtime(m.Subject); ok {
				g.realtime(ctx, m, to)
			} else {
				g.subscribed(ctx, m)
			}
			g.outgoing.next(len(g.in) > 0)
		case <-ctx.Done():
			return
		}
	}
}

// realtime delivers one real-time event, or answers a probe.
func (g *signals) realtime(ctx context.Context, m *nats.Msg, to subject.Recipient) {
	if probing(m.Header) {
		kind := anyKind
		if code := m.Header.Get(realtime.HeaderType); code != "" {
			kind = kindOf(code)
		}
		g.stats.probes.Inc()
		g.answer(m, to, g.crowd.count(to, kind))
		return
	}
	d, end := g.delivery(ctx, m)
	defer end()
	kind, n := kindOf(d.ev.Type), 0
	if d.expired(time.Now()) {
		g.stats.drop(dropExpired, 1)
	} else {
		n = g.crowd.deliver(to, kind, d, &g.outgoing)
	}
	g.stats.realtime(kind, to.Tenant, n)
	g.answer(m, to, n)
}

// probing says whether a message only asks.
func probing(h nats.Header) bool { return len(h) > 0 && h.Get(realtime.HeaderProbe) == "1" }

// answer tells a sender who wants to know how many connections there are here.
func (g *signals) answer(m *nats.Msg, to subject.Recipient, n int) {
	if m.Reply == "" {
		return
	}
	b, err := json.Marshal(realtime.Answer{Gateway: g.id, Connections: n, Gateways: max(g.who.Gateways(roster.Person(to)), 1)})
	if err == nil {
		err = m.Respond(b)
	}
	if err != nil {
		g.out.Debug("sender not answered", telemetry.KeySubject, m.Subject, telemetry.Err(err))
	}
}

// subscribed delivers a time event, or who comes and goes.
func (g *signals) subscribed(ctx context.Context, m *nats.Msg) {
	k := key{}
	if tenant, _, ok := subject.ParseClock(m.Subject); ok {
		k.tenant = subject.TokenClock(tokenOf(tenant))
	} else if p, ok := subject.ParsePresence(m.Subject); ok {
		k.tenant = subject.TokenPresence(tokenOf(p.Tenant))
		k.view = presenceName
	} else {
		return
	}
	d, end := g.delivery(ctx, m)
	defer end()
	if k.view == "" {
		k.view = d.views[0].Name
	}
	if d.expired(time.Now()) {
		g.stats.drop(dropExpired, 1)
		return
	}
	g.hub.spread(k, d, &g.outgoing)
}

// tokenOf is a tenant as subjects have it, "" being the platform. It came from a
// subject, so it has the grammar.
func tokenOf(tenant string) string {
	token, err := subject.Escape("tenant", tenant)
	if err != nil {
		return subject.Platform
	}
	return token
}

// delivery decodes a message; end ends its span.
func (g *signals) delivery(ctx context.Context, m *nats.Msg) (_ *delivery, end func()) {
	ev := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Time: time.Now()})
	if ev.Malformed != "" {
		g.stats.malformed.Inc()
	}
	end = func() {}
	var sc trace.SpanContext
	if parent := telemetry.Extract(ctx, m.Header); trace.SpanContextFromContext(parent).IsSampled() {
		_, span := g.trace.Start(parent, "gateway.signal", trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.String(telemetry.KeyEventID, ev.ID), attribute.String(telemetry.KeySubject, m.Subject)))
		sc, end = span.SpanContext(), func() { span.End() }
	}
	return newUnstored(&ev, sc), end
}
