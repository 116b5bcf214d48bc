package topology_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// More copies than servers is told as that, by one server at once, by a cluster when
// nobody has joined it in time.
func TestTooFewServers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := topology.Options{Replicas: 3}
	_, err := topology.Ensure(ctx, bustest.Start(t, bustest.Bare()).Bus().JS, topology.Platform(o), o)
	if !errors.Is(err, topology.ErrTooFewServers) || fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("one server: %v", err)
	}

	cluster := bustest.Cluster(t, 3, bustest.Bare()).Bus().JS
	bustest.Eventually(t, time.Minute, "the servers elect a leader", func() bool {
		_, err := cluster.AccountInfo(t.Context())
		return err == nil
	})
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second) // so long it waits for somebody to join
	defer cancel()
	o.Replicas = 5
	_, err = topology.Ensure(ctx, cluster, topology.Platform(o), o)
	if !errors.Is(err, topology.ErrTooFewServers) || fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "fewer servers") {
		t.Errorf("three servers: %v", err)
	}
}
