package objectevent

import "github.com/prometheus/client_golang/prometheus"

// outcome is what became of an operation, as metrics and answers call it.
type outcome string

// The outcomes.
const (
	outcomeQueued    outcome = "queued"    // not decided yet; no metric counts it
	outcomeRaised    outcome = "raised"    // its events are in the log
	outcomeNothing   outcome = "nothing"   // nothing follows from it
	outcomeDuplicate outcome = "duplicate" // it was reported before
	outcomeRefused   outcome = "refused"   // something is wrong with it
)

// metrics are the numbers of operations, named belfry_objectevent_…. What waits in
// each partition is belfry_relay_lag{relay="objectevent-<partition>"}.
type metrics struct {
	operations *prometheus.CounterVec
	seconds    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_objectevent_operations_total",
			Help: "Operations decided, by outcome (raised, nothing, duplicate, refused) and, of those refused, the code.",
		}, []string{"outcome", "code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "belfry_objectevent_operation_seconds",
			Help:    "From an operation's being stored in the queue to its events' being in the log.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}),
	}
	r.MustRegister(m.operations, m.seconds)
	return m
}
