package objectevent

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// BenchmarkOE6Operations works off a full queue: operations per second from the
// queue into EVENTS, all in one process. The figures that count are tests/load's,
// beside their reference.
func BenchmarkOE6Operations(b *testing.B) {
	for _, kind := range []string{"insert", "update", "trash"} {
		b.Run(kind, func(b *testing.B) {
			w := newOpWorld(b)
			w.stop()
			js, err := jetstream.New(w.nats.Bus().NC, jetstream.WithPublishAsyncMaxPending(4000))
			if err != nil {
				b.Fatal(err)
			}
			for i := range b.N {
				m := &nats.Msg{Subject: "op.AA.orders." + kind + "." + strconv.Itoa(i), Header: nats.Header{
					"ce-specversion": {"1.0"}, "ce-id": {fmt.Sprintf("op-%012d", i)}, "ce-source": {"/bench"}, "ce-type": {"orders." + kind},
					"ce-senderuser": {"anna"}, "ce-objectversion": {"7"}, "ce-dataschema": {"urn:belfry:change:v1"}, "ce-datacontenttype": {"application/json"},
				}, Data: []byte(`{"old":{"number":"2026-0041","total":12.5},"new":{"number":"2026-0042","total":18.5}}`)}
				if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			b.ResetTimer()
			w.start(w.nats.Bus())
			bustest.Eventually(b, 5*time.Minute, "the queue is empty", func() bool {
				s, err := js.Stream(b.Context(), Operations)
				return err == nil && s.CachedInfo().State.Msgs == 0
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			b.ReportMetric(w.batches(), "batches")
		})
	}
}

// batches is how many the relays have stored.
func (w *opWorld) batches() (n float64) {
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "belfry_relay_batch_messages" {
			continue
		}
		for _, m := range f.GetMetric() {
			n += float64(m.GetHistogram().GetSampleCount())
		}
	}
	return n
}
