package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/subject"
)

// metrics are the scheduler's numbers, all named belfry_scheduler_….
type metrics struct {
	armed       prometheus.Gauge
	fired       *prometheus.CounterVec   // by way
	lateness    *prometheus.HistogramVec // by way
	missed      prometheus.Counter
	skipped     *prometheus.CounterVec // by reason
	notices     *prometheus.CounterVec // by outcome
	stale       prometheus.Counter
	conflicts   prometheus.Counter
	historyLost prometheus.Counter
	steps       prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "belfry", Subsystem: "scheduler", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
		r.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		armed: prometheus.NewGauge(prometheus.GaugeOpts(opts("armed", "Occurrences that are armed, of the whole platform."))),
		fired: counters("fired_total", "Occurrences that fired, by what they became.", "way"),
		lateness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "belfry", Subsystem: "scheduler", Name: "lateness_seconds", Help: "How long after it was due an occurrence was decided.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300, 3600, 86400},
		}, []string{"way"}),
		missed:      counter("missed_total", "Occurrences that did not fire because nobody was there to fire them in time."),
		skipped:     counters("skipped_total", "Occurrences that did not fire, by reason.", "reason"),
		notices:     counters("notices_total", "Notices by outcome.", "outcome"),
		stale:       counter("stale_total", "Due occurrences that were no longer the armed one."),
		conflicts:   counter("conflicts_total", "Times another process had changed a schedule first."),
		historyLost: counter("history_lost_total", "Entries of the history that could not be written."),
		steps:       counter("clock_steps_total", "Times the machine's clock was set."),
	}
	r.MustRegister(m.armed, m.lateness)
	return m
}

// decided counts a verdict.
func (m *metrics) decided(way subject.Way, v verdict, now time.Time) {
	m.lateness.WithLabelValues(string(way)).Observe(max(now.Sub(v.due), 0).Seconds())
	if v.fire != nil {
		m.fired.WithLabelValues(string(way)).Inc()
	}
	for _, s := range v.skips {
		m.skipped.WithLabelValues(s.Reason).Add(float64(s.Count))
	}
	m.missed.Add(float64(v.missed()))
}
