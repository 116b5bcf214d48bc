package bus

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/telemetry"
)

// metrics are counted also without a registry: the code needs no question.
type metrics struct {
	reconnects  prometheus.Counter
	slow        prometheus.Counter
	asyncErrors prometheus.Counter
	recreated   *prometheus.CounterVec
	messages    *prometheus.CounterVec
	waiting     *prometheus.GaugeVec
}

func newMetrics() *metrics {
	return &metrics{
		reconnects:  counter("belfry_nats_reconnects_total", "Times the connection to NATS was lost and found again."),
		slow:        counter("belfry_nats_slow_consumers_total", "Times a subscription of this process fell behind and lost messages."),
		asyncErrors: counter("belfry_nats_errors_total", "Errors the NATS server reported outside any call, slow consumers excepted."),
		recreated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_consumer_recreated_total", Help: "Durable consumers that had disappeared and were made again.",
		}, []string{"stream", "consumer"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_consumer_messages_total", Help: "Messages taken from durable consumers, by what became of them.",
		}, []string{"stream", "consumer", "outcome"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "belfry_consumer_waiting_messages", Help: "Messages of durable consumers that wait here for something unavailable.",
		}, []string{"stream", "consumer"}),
	}
}

// register shows the metrics. It comes after the connection is made, so that a
// caller who tries again does not register twice.
func (m *metrics) register(r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(m.reconnects, m.slow, m.asyncErrors, m.recreated, m.messages, m.waiting)
	}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// handlers log and count what happens to the connection between calls.
func (b *Bus) handlers() []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("nats connection lost", telemetry.KeyErr, err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.metrics.reconnects.Inc()
			b.log.Info("nats connection back", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			attrs := []any{telemetry.KeyErr, err}
			if sub != nil {
				attrs = append(attrs, "subscription", sub.Subject)
			}
			if errors.Is(err, nats.ErrSlowConsumer) {
				b.metrics.slow.Inc()
				b.log.Warn("nats subscription too slow", attrs...)
				return
			}
			b.metrics.asyncErrors.Inc()
			b.log.Warn("nats error", attrs...)
		}),
	}
}
