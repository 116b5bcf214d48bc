package client

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what should happen, on a machine where much else runs.
const patience = 3 * time.Minute

// limited is t's context with a deadline, so that a test that waits for ever
// fails instead.
func limited(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	t.Cleanup(stop)
	return ctx
}

// connect closes when the test ends.
func connect(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c, err := Connect(limited(t, patience), url, o)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer stop()
		_ = c.Close(ctx) // some tests leave events unacknowledged on purpose
	})
	return c
}

// invoice is the n-th event of a test.
func invoice(n int) event.Event {
	return event.Event{
		ID: fmt.Sprintf("e%d", n), Source: "/test", Tenant: "AA", Topic: "invoices", Verb: "created",
		Subject: fmt.Sprint(n), Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}
