package gateway

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// feedBacklog is how many live messages may wait for the feed goroutine. More
// are dropped by the NATS client, and then read from the log.
const feedBacklog = 8192

// tenantFeed is the live feed of one tenant, as long as anybody here wants it.
type tenantFeed struct {
	token  string // the tenant, escaped
	filter string // its events in the log
	sub    *nats.Subscription
	refs   int
	ready  chan struct{} // closed once pos is known
	err    error         // why it could not be subscribed; set before ready closes

	pos  uint64 // every event up to here has been routed, or was before anybody asked
	seen uint64 // newest live event that came before pos was known

	window   []*delivery   // every event above base and up to pos
	base     uint64        // see recent
	reaching chan struct{} // held by who extends the window
	tooFar   uint64        // a window that begins here or before would not fit

	delivered prometheus.Counter
}

// feed takes live events of all tenants through one channel and one goroutine,
// which keeps their order, and never lets a newer event pass a missing one:
//
//	live message ──▶ seq ≤ pos? ──yes──▶ drop, routed already
//	                   │no
//	                 previous on its subject > pos? ──yes──▶ read the hole from the log
//	                   │no                                      │
//	                   └──────────────▶ route ◀─────────────────┘
//
// and every few seconds, and after a reconnect, the log's newest event of each
// tenant is compared with pos.
type feed struct {
	hub      *hub
	log      *logReads
	nc       *nats.Conn
	out      *slog.Logger
	stats    *metrics
	trace    trace.Tracer
	every    time.Duration
	outgoing outgoing // the feed goroutine's

	live    chan *nats.Msg
	signals chan *nats.Msg // what is never stored and somebody subscribed to
	found   chan finding
	renewed chan topology.Log
	epoch   atomic.Pointer[string] // of EVENTS; the feed goroutine changes it if the stream is made anew
	checked atomic.Pointer[error]  // how the latest comparison went
}

// finding is what a comparison with the log said of one tenant.
type finding struct {
	token string
	last  uint64 // the tenant's newest event in the log
	upto  uint64 // the log's end before last was read
}

// acquire makes sure that a tenant's feed flows, and counts one more user of it.
func (f *feed) acquire(ctx context.Context, token string) error {
	f.hub.mu.Lock()
	t, ok := f.hub.tenants[token]
	if !ok {
		t = &tenantFeed{token: token, filter: subject.TokenEvents(token), ready: make(chan struct{}), reaching: make(chan struct{}, 1)}
		if !unstored(token) {
			t.delivered = f.stats.deliveredTo(token)
		}
		f.hub.tenants[token] = t
	}
	t.refs++
	f.hub.mu.Unlock()
	if !ok {
		f.open(t)
	}
	select {
	case <-t.ready:
	case <-ctx.Done():
		f.release(token)
		return ctx.Err()
	}
	if t.err != nil {
		f.release(token)
	}
	return t.err
}

// open registers interest with NATS and then asks the log's leader where it
// ends: what is stored later will come live, because the server that republishes
// it knew of the interest before it answered.
func (f *feed) open(t *tenantFeed) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := func() error {
		if unstored(t.token) {
			return f.openSignal(ctx, t)
		}
		sub, err := f.nc.ChanSubscribe(subject.TokenLive(t.token), f.live)
		if err != nil {
			return err
		}
		f.hub.mu.Lock()
		t.sub = sub
		f.hub.mu.Unlock()
		if err := f.nc.FlushWithContext(ctx); err != nil {
			return err
		}
		state, err := f.log.State(ctx)
		if err != nil {
			return err
		}
		f.hub.mu.Lock()
		f.hub.advance(t, max(state.Last, t.seen))
		t.base = t.pos
		f.hub.mu.Unlock()
		return nil
	}()
	if err != nil {
		t.err = fault.Wrap(fault.Unavailable, err, "the live feed does not answer")
		f.hub.mu.Lock()
		if f.hub.tenants[t.token] == t { // the next one who asks tries again
			delete(f.hub.tenants, t.token)
		}
		f.hub.mu.Unlock()
	}
	close(t.ready)
	if t.err != nil {
		f.unsubscribe(t)
	}
}

// openSignal listens to what is never stored. It has no position, so nobody
// compares it with the log.
func (f *feed) openSignal(ctx context.Context, t *tenantFeed) error {
	sub, err := f.nc.ChanSubscribe(t.token, f.signals)
	if err != nil {
		return err
	}
	f.hub.mu.Lock()
	t.sub = sub
	f.hub.mu.Unlock()
	return f.nc.FlushWithContext(ctx)
}

// release takes back one acquire per token.
func (f *feed) release(tokens ...string) {
	for _, token := range tokens {
		f.hub.mu.Lock()
		t := f.hub.tenants[token]
		if t != nil {
			t.refs--
			if t.refs == 0 {
				delete(f.hub.tenants, token)
			} else {
				t = nil
			}
		}
		f.hub.mu.Unlock()
		if t != nil {
			f.unsubscribe(t)
		}
	}
}

func (f *feed) unsubscribe(t *tenantFeed) {
	if t.sub == nil {
		return
	}
	if err := t.sub.Unsubscribe(); err != nil && !f.nc.IsClosed() {
		f.out.Warn("live feed not unsubscribed", telemetry.KeyTenant, t.token, telemetry.Err(err))
	}
}

// run is the feed goroutine.
func (f *feed) run(ctx context.Context) {
	for {
		select {
		case m := <-f.live:
			f.arrive(ctx, m)
		case c := <-f.found:
			f.compare(ctx, c)
		case state := <-f.renewed:
			f.restart(state)
		case <-ctx.Done():
			return
		}
		if len(f.live) == 0 { // the last one may have been for nobody
			f.outgoing.flush()
		}
	}
}

// arrive takes one live message: the hop "arrive".
func (f *feed) arrive(ctx context.Context, m *nats.Msg) {
	token := subject.TenantToken(m.Subject)
	at := event.StoredOf(m.Header, *f.epoch.Load())
	seq := at.Cursor.Seq
	if seq == 0 {
		return // not republished by JetStream; nobody else may publish here
	}
	previous, _ := strconv.ParseUint(event.Last(m.Header, "Nats-Last-Sequence"), 10, 64) // absent = 0 = nothing missed
	t, pos := f.position(token, seq)
	if t == nil || seq <= pos {
		return
	}
	if previous > pos && !f.repair(ctx, t, seq-1) {
		return // the next comparison fills it, this one included
	}
	f.pass(ctx, t, strings.TrimPrefix(m.Subject, subject.LivePrefix), m.Header, m.Data, at)
}

// position finds a tenant's feed and how far it has come. While that is not
// known yet, it notes that seq has been there.
func (f *feed) position(token string, seq uint64) (*tenantFeed, uint64) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	t := f.hub.tenants[token]
	if t == nil {
		return nil, 0
	}
	select {
	case <-t.ready:
		return t, t.pos
	default:
		if t.pos != 0 { // known, ready closes in a moment
			return t, t.pos
		}
		t.seen = max(t.seen, seq)
		return nil, 0
	}
}

// pass decodes a message and routes it.
func (f *feed) pass(ctx context.Context, t *tenantFeed, subj string, h nats.Header, data []byte, at event.Stored) {
	ev := event.Decode(subj, h, data, at)
	f.stats.events.Inc()
	if ev.Malformed != "" {
		f.stats.malformed.Inc()
	}
	var sc trace.SpanContext // of sampled traces only: everything else costs nothing
	if parent := telemetry.Extract(ctx, h); trace.SpanContextFromContext(parent).IsSampled() {
		_, span := f.trace.Start(parent, "gateway.route", trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.String(telemetry.KeyEventID, ev.ID), attribute.String(telemetry.KeySubject, subj)))
		defer span.End()
		sc = span.SpanContext()
	}
	d := newDelivery(t.token, &ev, at.Cursor, sc)
	d.born = at.Time.UnixNano()
	reached := f.hub.route(t, d, &f.outgoing)
	t.delivered.Add(float64(reached))
	f.outgoing.next(len(f.live) > 0)
	if f.out.Enabled(ctx, slog.LevelDebug) {
		f.out.Debug("event routed", telemetry.KeyEventID, ev.ID, telemetry.KeySubject, subj, telemetry.KeyCount, reached)
	}
}

// compare acts on a finding: what the log has beyond our position is read from
// it; otherwise the position moves up, so that cursors of quiet tenants do not
// fall out of the log's window.
func (f *feed) compare(ctx context.Context, c finding) {
	t, pos := f.position(c.token, 0)
	if t == nil {
		return
	}
	if c.last > pos && !f.repair(ctx, t, c.last) {
		return
	}
	f.hub.mu.Lock()
	f.hub.advance(t, c.upto)
	f.hub.mu.Unlock()
}

// repair routes everything of the tenant between its position and upto from the
// log. False: the log does not answer; nothing newer may pass.
func (f *feed) repair(ctx context.Context, t *tenantFeed, upto uint64) bool {
	_, pos := f.position(t.token, 0)
	n, epoch := 0, *f.epoch.Load()
	err := f.log.through(ctx, t.filter, pos, upto, func(m *logged) error {
		n++
		f.pass(ctx, t, m.Subject, m.Header, m.Data, event.Stored{Cursor: event.Cursor{Epoch: epoch, Seq: m.Seq}, Time: m.Time})
		return nil
	})
	f.stats.repaired.Add(float64(n))
	if err != nil {
		f.out.Warn("live feed not repaired", telemetry.KeyTenant, t.token, telemetry.Err(err))
		return false
	}
	if n > 0 {
		f.out.Info("live feed repaired from the log", telemetry.KeyTenant, t.token, telemetry.KeyCount, n)
	}
	return true
}
