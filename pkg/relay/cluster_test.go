package relay_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Two workers, three nodes; the leader of one stream, then of the other, goes
// down while messages come.
func TestLeadersGoDown(t *testing.T) {
	t.Parallel()
	c := bustest.Cluster(t, 3, bustest.Spec(func(s *topology.Spec) {
		streams(s)
		for i := range s.Streams {
			s.Streams[i].Replicas = 3
		}
		for i := range s.Buckets {
			s.Buckets[i].Replicas = 3
		}
	}))
	b := c.Bus()
	first, _ := start(t, options(b)), start(t, options(b))
	published := 0
	for _, stream := range []string{"TARGET", "SOURCE"} {
		await(t, first, publishPatiently(t, b.JS, &published, 100))
		down := c.Leader(stream)
		var over sync.WaitGroup
		over.Go(func() { c.KillNode(down) })
		last := publishPatiently(t, b.JS, &published, 500)
		over.Wait()
		await(t, first, last)
		c.StartNode(down)
		c.AwaitLeader("SOURCE")
		c.AwaitLeader("TARGET")
	}
	got := stored(t, b, "TARGET", "dst.m")
	if len(got) != published {
		t.Errorf("%d of %d", len(got), published)
	}
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("%s at %d", body, i)
		}
	}
}

// publishPatiently stores n numbers, each once, however long there is no leader.
func publishPatiently(t *testing.T, js jetstream.JetStream, next *int, n int) (last uint64) {
	t.Helper()
	for range n {
		body := fmt.Append(nil, *next)
		bustest.Eventually(t, wait, "published", func() bool {
			ack, err := js.Publish(t.Context(), "src.a", body, jetstream.WithMsgID(string(body)))
			if err == nil {
				last = ack.Sequence
			}
			return err == nil
		})
		*next++
	}
	return last
}
