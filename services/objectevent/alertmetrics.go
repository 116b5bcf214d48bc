package objectevent

import "github.com/prometheus/client_golang/prometheus"

// alertOutcome is what became of asking a rule.
type alertOutcome int

// The outcomes.
const (
	alertUnmatched alertOutcome = iota // the condition is false
	alertRaised
	alertThrottled
	alertFailed
	alertOutcomes
)

// alertMetrics are the numbers of alerts, named belfry_objectevent_alert…. Rules have
// no names there: counters of each are in the API, where only their tenant sees them.
type alertMetrics struct {
	asked [alertOutcomes]prometheus.Counter
	rules prometheus.Gauge
}

func newAlertMetrics(r prometheus.Registerer) *alertMetrics {
	asked := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belfry_objectevent_alert_decisions_total",
		Help: "Rules that were asked about a change, by outcome (raised, throttled, unmatched, failed). A rule that the index rules out is not asked.",
	}, []string{"outcome"})
	m := &alertMetrics{rules: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "belfry_objectevent_alert_rules",
		Help: "Rules that are set and not disabled, as the worker of the relay alerts has them; 0 elsewhere.",
	})}
	r.MustRegister(asked, m.rules)
	for outcome, name := range map[alertOutcome]string{alertUnmatched: "unmatched", alertRaised: "raised", alertThrottled: "throttled", alertFailed: "failed"} {
		m.asked[outcome] = asked.WithLabelValues(name)
	}
	return m
}

func (m *alertMetrics) count(o alertOutcome) { m.asked[o].Inc() }
