package objectevent

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// alerter is the relay EVENTS → EVENTS: a change becomes the alerts of the rules that
// it fulfils; a record of rules becomes part of the table, behind its place in the
// log. What it stores is a function of the log up to there, so it does not matter who
// works and who died. Its methods are called by one goroutine.
type alerter struct {
	store    *alertStore
	log      *slog.Logger
	trace    trace.Tracer
	stats    *alertMetrics
	counters *alertCounters

	table    *alertTable
	throttle *throttle
	failing  map[string]map[string]*failing // by tenant and rule
}

// alertsRelay names the relay, its durable and its cursor.
const alertsRelay = "alerts"

// Open reads the rules as they were where the relay stands.
func (a *alerter) Open(ctx context.Context, last event.Cursor) error {
	began := time.Now()
	all, err := a.store.all(ctx, last)
	if err != nil {
		return err
	}
	// Whoever tells of the records must have come to the place.
	state, err := a.store.events.State(ctx)
	switch {
	case err != nil:
		return err
	case state.Last < last.Seq:
		return stream.Behind(topology.Events)
	}
	a.table, a.throttle, a.failing = alertTableOf(all), newThrottle(a.store.events), map[string]map[string]*failing{}
	a.stats.rules.Set(float64(a.table.living))
	a.log.InfoContext(ctx, "alert rules read", telemetry.KeyCount, a.table.living, telemetry.KeyDuration, time.Since(began))
	return a.counters.open(ctx, all, state.Epoch)
}

// Map says what follows from an event or a record.
func (a *alerter) Map(ctx context.Context, m relay.Message) (relay.Effects, error) {
	if tenant, ok := subject.ParseAlertRecord(m.Subject); ok {
		return a.decided(tenant, m)
	}
	x := a.table.about(m.Subject, m.At.Seq)
	if x == nil {
		return relay.Effects{}, nil
	}
	c := newChange(m)
	found := x.look(c)
	candidates := x.candidates(c, found)
	if len(candidates) == 0 {
		return relay.Effects{}, nil
	}
	ctx, span := a.trace.Start(ctx, "objectevent.alert", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	span.SetAttributes(attribute.String(telemetry.KeyEventID, c.ID), attribute.String(telemetry.KeySubject, m.Subject))
	a.counters.mu.Lock()
	defer a.counters.mu.Unlock()
	var e relay.Effects
	for _, i := range candidates {
		msgs, err := a.judge(ctx, x.rules[i], c)
		if err != nil {
			return relay.Effects{}, err
		}
		e.Msgs = append(e.Msgs, msgs...)
	}
	return e, nil
}

// decided is what follows from a record.
func (a *alerter) decided(tenant string, m relay.Message) (relay.Effects, error) {
	r, err := parseAlertRecord(m.Data)
	if err != nil {
		return relay.Effects{}, err
	}
	a.table.applied(tenant, r, m.At)
	if r.Op != alertFail {
		return relay.Effects{}, nil
	}
	msg, err := disabledEvent(tenant, r, &change{at: m.At, stored: m.Stored})
	return relay.Effects{Msgs: []*nats.Msg{msg}}, err
}

// judge asks one rule about a change. Only what is unavailable is an error: a rule
// that fails raises nothing, and is counted.
func (a *alerter) judge(ctx context.Context, r *compiledAlert, c *change) ([]*nats.Msg, error) {
	k := a.counters.of(c.Tenant, r, c)
	holds, err := r.holds(c)
	if err != nil {
		a.failed(r, c, k, err)
		return nil, nil
	}
	if a.succeeded(r, c); !holds {
		a.stats.count(alertUnmatched)
		return nil, nil
	}
	msgs, open, err := a.throttle.open(ctx, r, c)
	if err != nil {
		return nil, err
	}
	if !open {
		a.stats.count(alertThrottled)
		k.throttled(c)
		return nil, nil
	}
	m, err := r.alert(ctx, c)
	if err != nil {
		a.failed(r, c, k, err)
		return nil, nil
	}
	a.stats.count(alertRaised)
	k.raised(c)
	return append(msgs, m), nil
}

// AfterBatch copies the rules that records have changed, has rules disabled that keep
// failing, and lets go of what nobody asks about any more.
func (a *alerter) AfterBatch(ctx context.Context, ms []relay.Message) error {
	tenants := map[string]bool{}
	for _, m := range ms {
		if tenant, ok := subject.ParseAlertRecord(m.Subject); ok {
			tenants[tenant] = true
		}
	}
	last := ms[len(ms)-1].At.Seq
	for tenant := range tenants {
		v := a.table.before(tenant, last+1)
		if v == nil {
			continue // another worker's, who has copied it or died before Open read it
		}
		if err := a.store.keep(ctx, tenant, v.kept); err != nil {
			return err
		}
		a.table.forget(tenant, last)
	}
	a.stats.rules.Set(float64(a.table.living))
	a.throttle.settled(last)
	return a.disableFailing(ctx)
}
