package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
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
