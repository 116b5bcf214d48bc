package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	stopTimeout  = time.Minute     // the clean-up after a test
	readyTimeout = 2 * time.Minute // a cluster electing its leaders, where much else runs
)

func startNode(t testing.TB, o embed.Options) *embed.Server {
	t.Helper()
	n, err := embed.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start nats: %v", err)
	}
	return n
}

// The test's own context is over when clean-up runs, so these two have one of
// their own.

func stopNode(t testing.TB, n *embed.Server) {
	t.Helper()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop nats: %v", err)
	}
}

func closeBus(t testing.TB, b *bus.Bus) {
	t.Helper()
	if b == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close the service connection: %v", err)
	}
}

func (s *settings) connect(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	o.Name, o.Log, o.Registry = "bustest", s.embed.Log, s.registry
	b, err := bus.Connect(t.Context(), o)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return b
}

func (s *settings) ensure(t testing.TB, b *bus.Bus) {
	t.Helper()
	if s.bare {
		return
	}
	spec := topology.Platform(s.topology)
	if s.spec != nil {
		s.spec(&spec)
	}
	// Again and again, as a process does: one try has a limit that is no test's.
	for end := time.Now().Add(readyTimeout); ; {
		_, err := topology.Ensure(t.Context(), b.JS, spec, s.topology)
		if err == nil {
			return
		}
		if fault.CodeOf(err) != fault.Unavailable || time.Now().After(end) {
			t.Fatalf("ensure topology: %v", err)
		}
	}
}

// Eventually asks until the answer is yes, and fails the test after timeout.
func Eventually(t testing.TB, timeout time.Duration, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(timeout)
	defer end.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("not within %s: %s", timeout, what)
		case <-t.Context().Done():
			t.Fatalf("test over before: %s", what)
		}
	}
}
