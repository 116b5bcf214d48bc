package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// A whole server in a bubble: thirty seconds of redelivery wait take none.
func TestRedeliveryWaitsAsLongAsItSays(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess()).Bus()
		put(t, b, "0")
		o := options(1)
		o.Backoff = []time.Duration{30 * time.Second}
		times := make(chan time.Time, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		calls := 0
		go func() {
			done <- b.Consume(ctx, o, func(context.Context, jetstream.Msg) error {
				times <- time.Now()
				if calls++; calls == 1 {
					return fault.New(fault.Unavailable, "not now")
				}
				return nil
			})
		}()
		first, second := <-times, <-times
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if waited := second.Sub(first); waited < 30*time.Second || waited > 31*time.Second {
			t.Fatalf("came again after %s", waited)
		}
	})
}

// A handler slower than the AckWait keeps its message.
func TestSlowHandlerKeepsItsMessage(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess()).Bus()
		put(t, b, "0")
		o := options(1)
		o.Consumer.AckWait = 10 * time.Second
		calls := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- b.Consume(ctx, o, func(context.Context, jetstream.Msg) error {
				calls++
				time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
				return nil
			})
		}()
		time.Sleep(3 * time.Minute) //nolint:forbidigo // in a bubble
		cancel()
		if err := <-done; err != nil || calls != 1 {
			t.Fatalf("%d calls, %v", calls, err)
		}
	})
}

// What is unavailable for long costs no message its life, in however many
// processes it waits; its own failures afterwards are counted as if nothing had been.
func TestUnavailableIsNeverGivenUp(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess()).Bus()
		put(t, b, "needs", "good")
		const outage = 20*time.Minute + 10*time.Second // more tries than anything else is given; and between two of them
		o := options(0)
		o.Backoff, o.PullExpiry = []time.Duration{time.Second, 30 * time.Second}, time.Minute
		var mu sync.Mutex
		var verdict error // on all but "good"
		var handled []string
		start := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- b.Consume(ctx, o, func(_ context.Context, m jetstream.Msg) error {
					mu.Lock()
					defer mu.Unlock()
					if string(m.Data()) == "good" || verdict == nil {
						handled = append(handled, string(m.Data()))
						return nil
					}
					if fault.CodeOf(verdict) != fault.Unavailable {
						handled = append(handled, "failed")
					}
					return verdict
				})
			}()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
		pass := func(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a bubble
		buried := func() uint64 {
			s, err := b.JS.Stream(t.Context(), topology.DeadLetters)
			if err != nil {
				t.Fatal(err)
			}
			return s.CachedInfo().State.Msgs
		}

		// then lets time pass with a verdict, and says what was handled and buried.
		then := func(v error, d time.Duration, wantBuried uint64, want ...string) {
			t.Helper()
			mu.Lock()
			verdict, handled = v, nil
			mu.Unlock()
			pass(d)
			mu.Lock()
			defer mu.Unlock()
			if d := cmp.Diff(want, handled); d != "" || buried() != wantBuried {
				t.Fatalf("%d dead letters, not %d; %s", buried(), wantBuried, d)
			}
		}
		unavailable, own := fault.New(fault.Unavailable, "not now"), fault.New(fault.Internal, "no")

		stop := start()
		then(unavailable, outage, 0, "good")
		for range 5 { // as many restarts of the process
			stop()
			stop = start()
			then(unavailable, outage, 0)
		}
		then(own, 29*time.Second, 0, "failed") // within the next half minute, and again after one more
		then(nil, time.Minute, 0, "needs")
		then(unavailable, time.Second, 0)
		put(t, b, "later")
		then(unavailable, outage, 0)
		then(own, outage, 1, "failed", "failed", "failed")
		stop()
	})
}
