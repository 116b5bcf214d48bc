package roster

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// Whatever other gateways, or somebody else, say: the counts stay those of the
// seats.
func FuzzHear(f *testing.F) {
	for _, m := range []proto.Message{
		&gatewayv1.Ask{Gateway: "b"},
		&gatewayv1.Roll{Gateway: "b", Sequence: 1, Seats: []*gatewayv1.Seat{{Tenant: "AA", User: "anna", Connections: 1, Since: 1}}},
		&gatewayv1.Roll{Gateway: "b", Sequence: 1, Part: 1, Parts: 2, Seats: []*gatewayv1.Seat{{Tenant: "AA", User: "anna", Connections: 1, Since: 1}}},
		&gatewayv1.Roll{Gateway: "b", Sequence: 9, Part: 2, Parts: 2, Leaving: true},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b, string(m.ProtoReflect().Descriptor().Name()))
	}
	nc := bustest.Start(f).Bus().NC
	f.Fuzz(func(t *testing.T, first, second []byte, kind string) {
		r := New(Options{NC: nc, Gateway: "a", Log: slog.New(slog.DiscardHandler)})
		r.Enter(Person{"AA", "anna"})
		for _, b := range [][]byte{first, second, first} {
			r.hear(&nats.Msg{Data: b, Header: nats.Header{kindHeader: {kind}}}, time.Now())
		}
		r.judge(time.Now(), 0, true)
		seats := map[*peer]int{}
		for p, e := range r.entries {
			if len(e.seats) == 0 && e.gone.IsZero() {
				t.Errorf("%v is nowhere, and not leaving", p)
			}
			for _, s := range e.seats {
				seats[s.at]++
			}
		}
		for g, n := range seats {
			if g.seats != n {
				t.Errorf("%q has %d seats and counts %d", g.id, n, g.seats)
			}
		}
		if p := r.Get(Person{"AA", "anna"}); !p.Online {
			t.Error("nobody can say that anna is not here")
		}
	})
}
