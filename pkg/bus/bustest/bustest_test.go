package bustest_test

import (
	"net"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsMessagesAndConnections(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	app := bustest.Connect(t, s.URL())
	before := publish(t, app)
	s.Restart()
	for _, nc := range []*nats.Conn{app, s.Bus().NC} {
		if got := state(t, nc); got != before {
			t.Fatalf("after the restart %+v, before %+v", got, before)
		}
	}
	if after := publish(t, app); after.Last != before.Last+1 || after.Epoch != before.Epoch {
		t.Fatalf("%+v does not continue %+v", after, before)
	}
}

func TestClusterKeepsMessagesWithoutItsLeader(t *testing.T) {
	t.Parallel()
	c := bustest.Cluster(t, 3)
	app := bustest.Connect(t, c.URL())
	before := publish(t, app)
	leader := c.Leader(topology.Events)
	c.KillNode(leader)
	c.AwaitLeader(topology.Events)
	after := publish(t, app)
	if after.Last != before.Last+1 || after.Epoch != before.Epoch {
		t.Fatalf("%+v does not continue %+v", after, before)
	}
	c.StartNode(leader)
	c.Restart()
	if got := publish(t, app); got.Last != after.Last+1 || got.Epoch != before.Epoch {
		t.Fatalf("%+v does not continue %+v", got, after)
	}
}

// An address that a test was given can be listened at, and is given to nobody else until
// the test ends.
func TestFreeAddrs(t *testing.T) {
	var addr string
	t.Run("while the test runs", func(t *testing.T) {
		addr = bustest.FreeAddrs(t, 1)[0]
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if c, err := net.ListenPacket("udp", addr); err == nil {
			_ = c.Close()
			t.Error("nobody holds it")
		}
	})
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal("held after the test:", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
