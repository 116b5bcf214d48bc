package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics are the gateway's numbers, all named belfry_gateway_….
type metrics struct {
	connections *prometheus.GaugeVec // by transport
	events      prometheus.Counter
	malformed   prometheus.Counter
	deliveries  prometheus.Counter
	frames      prometheus.Counter
	near        prometheus.Counter
	cuts        prometheus.Counter
	expired     prometheus.Counter
	repaired    prometheus.Counter
	resumes     *prometheus.CounterVec // by outcome
	published   *prometheus.CounterVec // by outcome
}

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
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "belfry", Subsystem: "gateway", Name: "connections", Help: "Open connections.",
		}, []string{"transport"}),
		events:     counter("events_total", "Durable events that arrived from the live feed or by repair."),
		malformed:  counter("malformed_events_total", "Events that were not well-formed CloudEvents and were treated as bare."),
		deliveries: counter("deliveries_total", "Events queued for a connection."),
		frames:     counter("written_total", "Events and answers written to connections."),
		near:       counter("queue_near_limit_total", "Times a connection's queue passed three quarters of its limit."),
		cuts:       counter("slow_consumers_total", "Connections closed because they read too slowly."),
		expired:    counter("expired_events_total", "Events not delivered because their expiry time had passed."),
		repaired:   counter("repaired_events_total", "Events the live feed missed and that were read from the log."),
		resumes:    counters("resumes_total", "Resumptions by outcome.", "outcome"),
		published:  counters("published_total", "Events taken over HTTP by outcome.", "outcome"),
	}
	r.MustRegister(m.connections)
	return m
}
