package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// signalMetrics are the numbers of what is never stored.
type signalMetrics struct {
	registry prometheus.Registerer
	arrived  *prometheus.CounterVec // by code
	probes   prometheus.Counter
	presence *prometheus.CounterVec // by change
	roster   prometheus.Counter
}

func newSignalMetrics(r prometheus.Registerer) signalMetrics {
	name := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "belfry", Subsystem: "gateway", Name: name, Help: help}
	}
	m := signalMetrics{
		registry: r,
		arrived:  prometheus.NewCounterVec(name("realtime_events_total", "Real-time events that arrived, by code; \"other\" are those of no contract."), []string{"code"}),
		probes:   prometheus.NewCounter(name("realtime_probes_total", "Questions whether somebody is there that this gateway answered.")),
		presence: prometheus.NewCounterVec(name("presence_changes_total", "Presence events that this gateway announced, by change: online or offline."), []string{"change"}),
		roster:   prometheus.NewCounter(name("roster_sent_bytes_total", "Bytes told to other gateways about who is connected here.")),
	}
	r.MustRegister(m.arrived, m.probes, m.presence, m.roster)
	return m
}

// realtime counts one real-time event that reached n connections.
func (m *metrics) realtime(kind int, tenant string, n int) {
	code := "other"
	if kind < otherCode {
		code = codes[kind]
	}
	m.arrived.WithLabelValues(code).Inc()
	if n > 0 {
		label := "several"
		if tenant != "" {
			label = m.tenants.tenant(tenant)
		}
		m.deliveries.WithLabelValues(label).Add(float64(n))
	}
}

// counts are what the roster knows.
func (m signalMetrics) counts(who *roster.Roster) {
	for _, g := range []struct {
		name, help string
		value      func() int
	}{
		{"online_users", "Users online, over all gateways.", who.Online},
		{"gateways", "Gateways alive, this one included.", func() int { return who.Peers() + 1 }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "belfry", Subsystem: "gateway", Name: g.name, Help: g.help},
			func() float64 { return float64(g.value()) },
		))
	}
}
