package mailbox

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// metrics are the service's numbers, all named belfry_mailbox_…. None has a
// subscriber as label, so their number does not grow with the mailboxes.
type metrics struct {
	copied        *prometheus.CounterVec // by tenant
	received      *prometheus.CounterVec // by tenant
	confirmed     *prometheus.CounterVec // by tenant
	expired       prometheus.Counter
	buried        prometheus.Counter
	conflicts     prometheus.Counter
	refused       prometheus.Counter
	parked        prometheus.Gauge
	subscriptions prometheus.Gauge
	depth         prometheus.Gauge
	oldest        prometheus.Gauge
	wake          prometheus.Histogram

	tenants labels
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "belfry", Subsystem: "mailbox", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	tenants := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "belfry", Subsystem: "mailbox", Name: name, Help: help + ", by tenant; the first 100 by name, the rest as other.",
		}, []string{"tenant"})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "belfry", Subsystem: "mailbox", Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &metrics{
		copied:        tenants("copied_total", "Copies of events that this replica's relay has put into mailboxes"),
		received:      tenants("received_total", "Messages locked by Receive"),
		confirmed:     tenants("confirmed_total", "Messages confirmed"),
		expired:       counter("expired_total", "Subscribers whose mailboxes were removed because they did not poll."),
		buried:        counter("dead_letters_total", "Messages that were delivered as often as their subscription allows."),
		conflicts:     counter("cas_retries_total", "Times another replica had changed a subscriber's state first."),
		refused:       counter("lock_conflicts_total", "Calls refused because the message was locked, or the lock was not theirs."),
		parked:        gauge("waiting_peeks", "Peeks that wait in this replica."),
		subscriptions: gauge("subscriptions", "Mailboxes, as the relay's worker knows; 0 in replicas that stand by."),
		depth:         gauge("depth", "Messages in all mailboxes, sampled."),
		oldest:        gauge("oldest_seconds", "Age of the oldest message in any mailbox, sampled."),
		wake: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "belfry", Subsystem: "mailbox", Name: "wake_seconds",
			Help:    "From an event being in a mailbox to a waiting Peek answering.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5, 30},
		}),
	}
	r.MustRegister(m.wake)
	return m
}

// sampleEvery is how often the store is asked what it holds.
const sampleEvery = 15 * time.Second

// sample looks at the first of all copies: how old it is, and how many are behind
// it, whatever their number.
func (s *Service) sample(ctx context.Context) {
	m, behind, ok, err := s.copies.Near(ctx, subject.MailboxCopies, 1)
	switch {
	case err != nil:
		s.log.DebugContext(ctx, "depth not known", telemetry.Err(err))
	case !ok:
		s.stats.depth.Set(0)
		s.stats.oldest.Set(0)
	default:
		s.stats.depth.Set(float64(behind + 1))
		s.stats.oldest.Set(time.Since(m.Time).Seconds())
	}
}

// labels bounds how many tenants have a series of their own.
type labels struct {
	mu    sync.Mutex
	known map[string]bool
}

const maxTenants = 100

func (l *labels) of(tenant string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.known[tenant]:
	case len(l.known) >= maxTenants:
		return "other"
	case l.known == nil:
		l.known = map[string]bool{tenant: true}
	default:
		l.known[tenant] = true
	}
	return tenant
}
