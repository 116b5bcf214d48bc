package client

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// A window that waits to come back is closed like any other.
func TestWindowClosesWhileItWaits(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := open(t, g, OpenOptions{Token: "secret", BackoffMin: time.Hour, BackoffMax: time.Hour})
	g.cut(websocket.StatusGoingAway, "")
	bustest.Eventually(t, patience, "the window has noticed", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.link == nil
	})
	w.Close()
}
