package gateway

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/subject"
)

// metrics are the gateway's numbers, all named belfry_gateway_….
type metrics struct {
	connections *prometheus.GaugeVec // by transport
	ofTenants   *prometheus.GaugeVec // connections by tenant
	events      prometheus.Counter
	malformed   prometheus.Counter
	deliveries  *prometheus.CounterVec // by tenant
	frames      prometheus.Counter
	near        prometheus.Counter
	cuts        *prometheus.CounterVec // by tenant
	closed      *prometheus.CounterVec // by code
	dropped     *prometheus.CounterVec // by reason
	refused     *prometheus.CounterVec // by limit and tenant
	repaired    prometheus.Counter
	resumes     *prometheus.CounterVec // by outcome and source
	replayed    *prometheus.CounterVec // by source
	pages       prometheus.Counter
	published   *prometheus.CounterVec // by outcome
	age         prometheus.Histogram

	registry prometheus.Registerer
	tenants  labels
	signalMetrics
}

// Where a resumption gets its events.
const (
	fromMemory = "memory"
	fromLog    = "log"
)

// Why an event was dropped instead of written.
const (
	dropExpired   = "expired"    // its expiry time had passed (SR4)
	dropQueueFull = "queue_full" // a real-time event, and the client reads too slowly
)

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "belfry", Subsystem: "gateway", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "belfry", Subsystem: "gateway", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		signalMetrics: newSignalMetrics(r),
		registry:      r,
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "belfry", Subsystem: "gateway", Name: "connections", Help: "Open connections.",
		}, []string{"transport"}),
		ofTenants: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "belfry", Subsystem: "gateway", Name: "tenant_connections", Help: "Open connections by tenant" + firstTenants,
		}, []string{"tenant"}),
		events:     counter("events_total", "Durable events that arrived from the live feed or by repair."),
		malformed:  counter("malformed_events_total", "Events that were not well-formed CloudEvents and were treated as bare."),
		deliveries: counters("deliveries_total", "Events queued for a connection, by tenant"+firstTenants, "tenant"),
		frames:     counter("written_total", "Events and answers written to connections."),
		near:       counter("queue_near_limit_total", "Times a connection's queue passed three quarters of its limit."),
		cuts:       counters("slow_consumers_total", "Connections closed because they read too slowly, by tenant"+firstTenants, "tenant"),
		closed:     counters("closed_total", "Connections that the gateway closed, by the code it gave.", "code"),
		dropped:    counters("dropped_events_total", "Events not written to a connection that would have had them, by reason.", "reason"),
		refused:    counters("limit_reached_total", "What a limit refused, by limit and tenant"+firstTenants, "limit", "tenant"),
		repaired:   counter("repaired_events_total", "Events the live feed missed and that were read from the log."),
		resumes:    counters("resumes_total", "Resumptions by outcome, and by what they were served from: memory, or log if it was read for any part of it.", "outcome", "source"),
		replayed:   counters("replayed_events_total", "Events sent to resuming clients, by where they came from: memory or log.", "source"),
		pages:      counter("log_pages_total", "Pages of the log that were read."),
		published:  counters("published_total", "Events taken over HTTP by outcome.", "outcome"),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "belfry", Subsystem: "gateway", Name: "age_at_write_seconds",
			Help:    "From an event's being stored, or sent if it is a real-time one, to its being written to a socket; of each write its oldest event. Resumptions are not in it.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30},
		}),
	}
	r.MustRegister(m.connections, m.ofTenants, m.age)
	return m
}

// connected counts a connection that has come, or gone.
func (m *metrics) connected(p protocol, who *auth.Principal, by float64) {
	m.connections.WithLabelValues(p.String()).Add(by)
	m.ofTenants.WithLabelValues(m.tenants.of(who)).Add(by)
}

// limited counts what a limit has refused; "" is no limit.
func (m *metrics) limited(limit string, who *auth.Principal) {
	if limit != "" {
		m.refused.WithLabelValues(limit, m.tenants.of(who)).Inc()
	}
}

// queues shows what waits for connections, in all and for the one that is furthest
// behind. It is looked at when asked for, and costs nothing otherwise.
func (m *metrics) queues(now func() (all, most int)) {
	for name, help := range map[string]string{
		"queue_bytes": "Bytes waiting for connections.", "queue_bytes_max": "Bytes waiting for the connection that is furthest behind.",
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "belfry", Subsystem: "gateway", Name: name, Help: help}, func() float64 {
			all, most := now()
			if name == "queue_bytes" {
				return float64(all)
			}
			return float64(most)
		}))
	}
}

// reads shows how many pages of the log are being read.
func (m *metrics) reads(now func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "belfry", Subsystem: "gateway", Name: "log_reads", Help: "Pages of the log that are being read now.",
	}, now))
}

func (m *metrics) drop(reason string, n int) { m.dropped.WithLabelValues(reason).Add(float64(n)) }

// deliveredTo counts the deliveries of one tenant, by its escaped name.
func (m *metrics) deliveredTo(token string) prometheus.Counter {
	return m.deliveries.WithLabelValues(m.tenants.tenant(subject.Unescape(token)))
}

// slow counts a connection that is about to be cut.
func (m *metrics) slow(p *auth.Principal) { m.cuts.WithLabelValues(m.tenants.of(p)).Inc() }

// wrote counts one write. Its first event has waited longest.
// What a resumption sends is as old as the client was away, and not counted.
func (m *metrics) wrote(items []*item, at time.Time, behind bool) {
	m.frames.Add(float64(len(items)))
	if born := items[0].born; born != 0 && !behind {
		m.age.Observe(max(time.Duration(at.UnixNano()-born), 0).Seconds())
	}
}

// labels keep the number of series that tenants make bounded: the first have their
// own, the rest share one.
type labels struct {
	mu    sync.Mutex
	known map[string]bool
}

const (
	maxTenantLabels = 100
	firstTenants    = " (the first 100; the rest is \"other\", a token of several is \"several\")."
)

// tenant is the label of one tenant.
func (l *labels) tenant(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.known[name]:
		return name
	case len(l.known) >= maxTenantLabels:
		return "other"
	case l.known == nil:
		l.known = map[string]bool{}
	}
	l.known[name] = true
	return name
}

// of is the label of whoever may act for none, one or several tenants; nil is
// nobody we know.
func (l *labels) of(p *auth.Principal) string {
	if p == nil {
		return "none"
	}
	switch len(p.Tenants) {
	case 0:
		return "none"
	case 1:
		return l.tenant(p.Tenants[0])
	}
	return "several"
}
