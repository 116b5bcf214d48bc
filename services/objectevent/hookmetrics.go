package objectevent

import (
	"github.com/prometheus/client_golang/prometheus"
)

// hookMetrics are the numbers of before-events, named belfry_objectevent_….
type hookMetrics struct {
	asked    *prometheus.CounterVec
	seconds  prometheus.Histogram
	calls    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	unlogged prometheus.Counter
}

// newHookMetrics registers them; opened says how many circuits are open.
func newHookMetrics(r prometheus.Registerer, opened func() int) *hookMetrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30} // up to the largest budget
	m := &hookMetrics{
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_objectevent_before_deletes_total", Help: "Answers of BeforeDelete, by verdict: allowed, refused, or the code of the error.",
		}, []string{"verdict"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "belfry_objectevent_before_delete_seconds", Help: "How long BeforeDelete took to a verdict.", Buckets: buckets,
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_objectevent_hook_calls_total", Help: "Calls of hooks, by the way they are called (nats, http) and their outcome.",
		}, []string{"way", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "belfry_objectevent_hook_call_seconds", Help: "How long hooks took to answer, or to fail; those not asked are not counted.", Buckets: buckets,
		}, []string{"way"}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "belfry_objectevent_verdicts_lost_total", Help: "Verdicts that could not be kept for ListVerdicts.",
		}),
	}
	r.MustRegister(m.asked, m.seconds, m.calls, m.took, m.unlogged, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "belfry_objectevent_hook_circuits_open", Help: "Hooks that failed too often and are not asked for a while.",
	}, func() float64 { return float64(opened()) }))
	return m
}

// count counts one call.
func (m *hookMetrics) count(q *call, a Answer) {
	way := "nats"
	if q.hook.URL != "" {
		way = "http"
	}
	m.calls.WithLabelValues(way, string(a.Outcome)).Inc()
	if a.Outcome != CutOff {
		m.took.WithLabelValues(way).Observe(a.Millis / 1000)
	}
}
