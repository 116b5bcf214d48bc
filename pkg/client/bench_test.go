package client

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
)

// benchData is 256 bytes of JSON.
var benchData = fmt.Appendf(nil, `{"text":"%0245d"}`, 0)

const benchWindow = 4096

// BenchmarkPublishAsync compares the client with the least that sends the same
// bytes: nats.go's own asynchronous publisher, headers written by hand.
func BenchmarkPublishAsync(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := bustest.Start(b)
		c := connect(b, s.URL(), Options{MaxPending: benchWindow})
		ctx := b.Context()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := c.PublishAsync(ctx, event.Event{
				ID: "e" + strconv.Itoa(i), Source: "/bench", Tenant: "AA", Topic: "invoices", Verb: "created", Data: benchData,
			}); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("raw", func(b *testing.B) {
		s := bustest.Start(b)
		nc, err := nats.Connect(s.URL())
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(benchWindow))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			id := "e" + strconv.Itoa(i)
			if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "evt.AA.invoices.created", Data: benchData, Header: nats.Header{
				"Nats-Msg-Id":        {"AA//bench/" + id},
				"ce-specversion":     {"1.0"},
				"ce-id":              {id},
				"ce-source":          {"/bench"},
				"ce-type":            {"invoices.created"},
				"ce-time":            {time.Now().UTC().Format(time.RFC3339Nano)},
				"ce-datacontenttype": {"application/json"},
				"ce-tenant":          {"AA"},
				"ce-topic":           {"invoices"},
				"ce-verb":            {"created"},
			}}, jetstream.WithStallWait(time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
