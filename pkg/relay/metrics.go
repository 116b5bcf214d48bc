package relay

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are one relay's metrics; several relays of a process share the vectors.
type gauges struct {
	lag         prometheus.Gauge
	attempts    prometheus.Gauge
	batch       prometheus.Observer
	relayed     prometheus.Counter
	known       prometheus.Counter
	takeovers   prometheus.Counter
	conflicts   prometheus.Counter
	recreated   prometheus.Counter
	deadLetters prometheus.Counter
}

func newGauges(o Options) *gauges {
	label := []string{"relay"}
	counter := func(name, help string) prometheus.Counter {
		return register(o.Registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)).WithLabelValues(o.Name)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register(o.Registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, label)).WithLabelValues(o.Name)
	}
	return &gauges{
		lag:      gauge("belfry_relay_lag", "Source messages not yet relayed and acknowledged."),
		attempts: gauge("belfry_relay_attempts", "Failed attempts on the message that the relay is at."),
		batch: register(o.Registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "belfry_relay_batch_messages", Help: "Messages of one batch, the cursor included.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}, label)).WithLabelValues(o.Name),
		relayed:     counter("belfry_relay_messages_total", "Source messages relayed."),
		known:       counter("belfry_relay_known_total", "Source messages whose effects were dropped, because they had happened before (Once)."),
		takeovers:   counter("belfry_relay_takeovers_total", "Times this worker took the relay over."),
		conflicts:   counter("belfry_relay_conflicts_total", "Times another worker had moved the cursor first."),
		recreated:   counter("belfry_relay_consumer_recreated_total", "Times the source's durable had disappeared and was made again."),
		deadLetters: counter("belfry_relay_dead_letters_total", "Source messages given up."),
	}
}

// register shows a vector, or finds the one that another relay has shown.
func register[V prometheus.Collector](r prometheus.Registerer, v V) V {
	if r == nil {
		return v
	}
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](r.Register(v)); ok {
		if shown, ok := already.ExistingCollector.(V); ok {
			return shown
		}
	}
	return v
}
