package relay_test

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/topology"
)

// A relay that copies every event of EVENTS to two places in COPIES. Whoever
// makes the streams also makes topology.RelayBucket.
func Example() {
	program := func(ctx context.Context, b *bus.Bus) error {
		r, err := relay.New(relay.Options{
			Name: "copies", Bus: b,
			Source: topology.Events, Filter: []string{"evt.*.*.*"},
			Target: "COPIES", Cursor: "copies.cursor",
			Map: func(_ context.Context, m relay.Message) (relay.Effects, error) {
				place := strings.ReplaceAll(m.Subject, ".", "_")
				return relay.Effects{Msgs: []*nats.Msg{
					{Subject: "copies.a." + place, Data: m.Data},
					{Subject: "copies.b." + place, Data: m.Data},
				}}, nil
			},
		})
		if err != nil {
			return err
		}
		return r.Run(ctx) // as many processes as you like: one works, the others wait
	}
	_ = program
}
