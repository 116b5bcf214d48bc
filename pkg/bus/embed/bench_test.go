package embed_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
)

// BenchmarkStartStop is an empty store, listening, from nothing to ready and
// back to nothing.
func BenchmarkStartStop(b *testing.B) {
	var up, down time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := embed.Start(b.Context(), embed.Options{DataDir: b.TempDir(), Port: -1})
		if err != nil {
			b.Fatal(err)
		}
		ready := time.Now()
		if err := s.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		up, down = up+ready.Sub(began), down+time.Since(ready)
	}
	b.ReportMetric(float64(up.Microseconds())/float64(b.N), "µs/start")
	b.ReportMetric(float64(down.Microseconds())/float64(b.N), "µs/stop")
}

// BenchmarkPublish is what the border between the accounts costs a stranger,
// beside the same publishes by a service.
func BenchmarkPublish(b *testing.B) {
	for name, url := range map[string]func(*bustest.Server) string{
		"app": (*bustest.Server).URL, "service": (*bustest.Server).ServiceURL,
	} {
		b.Run(name, func(b *testing.B) {
			s := bustest.Start(b)
			js, err := jetstream.New(bustest.Connect(b, url(s)), jetstream.WithPublishAsyncMaxPending(4096))
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, 256)
			for b.Loop() {
				m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: body, Header: nats.Header{"ce-id": {"x"}, "ce-type": {"invoices.created"}}}
				if _, err := js.PublishMsgAsync(m); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
