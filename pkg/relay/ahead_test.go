package relay_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
)

// TestAhead: every message is shown before Map is asked about it, many at once, and
// again only if that failed.
func TestAhead(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	o := options(b)
	var mu sync.Mutex
	shown, calls, failures := map[uint64]int{}, 0, 2
	o.Ahead = func(_ context.Context, ms []relay.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; failures > 0 {
			failures--
			return fault.New(fault.Unavailable, "not yet")
		}
		if !slices.IsSortedFunc(ms, func(a, b relay.Message) int { return int(a.At.Seq) - int(b.At.Seq) }) {
			t.Error("not in order")
		}
		for _, m := range ms {
			shown[m.At.Seq]++
		}
		return nil
	}
	o.Map = func(_ context.Context, m relay.Message) (relay.Effects, error) {
		mu.Lock()
		defer mu.Unlock()
		if shown[m.At.Seq] != 1 {
			t.Errorf("%d was shown %d times", m.At.Seq, shown[m.At.Seq])
		}
		return relay.Effects{Msgs: []*nats.Msg{{Subject: "dst.m", Data: m.Data}}}, nil
	}
	last := put(t, b, "src.a", 0, 1500)
	r := start(t, o)
	if err := r.Await(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(shown) != 1500 || calls > 500 {
		t.Errorf("%d messages shown in %d calls", len(shown), calls)
	}
	if got := stored(t, b, "TARGET", "dst.m"); len(got) != 1500 {
		t.Errorf("%d stored", len(got))
	}
}

// TestWhatWasRelayedIsSettledFirst: a worker ends between a batch and its AfterCommit, and
// the server believes that all of it is acknowledged, as it may after a reset. The next
// worker runs it before it asks Map about anything behind, and also if nothing comes.
func TestWhatWasRelayedIsSettledFirst(t *testing.T) {
	t.Parallel()
	for _, more := range []int{0, 10} {
		b := bustest.Start(t, bustest.Spec(streams)).Bus()
		o := options(b)
		o.PinnedTTL = 3 * time.Second // the least: the first worker's place must become free
		var mapped, committed int     // by one worker after the other
		var settled atomic.Int64
		o.Map = func(_ context.Context, m relay.Message) (relay.Effects, error) {
			if mapped++; settled.Load() < int64(committed) {
				t.Errorf("%s is decided when %d of %d are settled", m.Data, settled.Load(), committed)
			}
			return relay.Effects{Msgs: []*nats.Msg{{Subject: "dst.m", Data: m.Data}}}, nil
		}
		o.AfterCommit = func(context.Context, relay.Message) error { settled.Add(1); return nil }
		put(t, b, "src.a", 0, 4)
		r, err := relay.New(o)
		if err != nil {
			t.Fatal(err)
		}
		r.At(func(_ context.Context, step string) error {
			if step != "committed" || mapped < 4 {
				return nil
			}
			committed = mapped
			return relay.ErrCrash
		})
		if err := r.Run(t.Context()); !relay.IsCrash(err) {
			t.Fatalf("ended with %v", err)
		}
		if _, err := b.JS.ResetConsumerToSequence(t.Context(), "SOURCE", o.Name, 5); err != nil {
			t.Fatal(err)
		}
		put(t, b, "src.a", 4, 4+more)
		start(t, o)
		bustest.Eventually(t, wait, "all is settled", func() bool { return settled.Load() == int64(4+more) })
	}
}
