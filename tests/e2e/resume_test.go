package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
)

// publisher is an outside program with the Go client.
func publisher(t *testing.T, w *world) *client.Client {
	t.Helper()
	c, err := client.Connect(soon(t), w.nats, client.Options{Source: "/e2e"})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) }) // the server may be gone by then
	return c
}

// ids names events from to from+n-1.
func ids(from, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("e%d", from+i)
	}
	return all
}

func send(t *testing.T, c *client.Client, from, n int) {
	t.Helper()
	for _, id := range ids(from, n) {
		sendOne(t, c, id)
	}
	if err := c.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func sendOne(t *testing.T, c *client.Client, id string) *client.Ack {
	t.Helper()
	a, err := c.PublishAsync(t.Context(), event.Event{ID: id, Tenant: "AA", Topic: "invoices", Verb: "created", Data: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Killed or asked to stop, and started again: who listened comes back, gets what
// others published in between, and nothing twice.
func TestStoppedAndStarted(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"kill -9": syscall.SIGKILL, "drain": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEachWorld(t, func(t *testing.T, w *world) { stopAndStart(t, w, signal) })
		})
	}
}

func stopAndStart(t *testing.T, w *world, signal syscall.Signal) {
	t.Helper()
	c := publisher(t, w)
	all := listeners(t, w)
	n := 0
	hear := func(count int) {
		t.Helper()
		for _, l := range all {
			l.want(ids(n, count)...)
		}
		n += count
	}
	send(t, c, 0, 100)
	hear(100)
	for i := range w.fronts {
		w.end(i, signal)
		if len(w.fronts) > 1 {
			// The log lives elsewhere, and clients go to the other front.
			send(t, c, n, 100)
			hear(100)
			w.revive(i)
			send(t, c, n, 100)
			hear(100)
			continue
		}
		// The log went with the process: what is published meanwhile waits in the
		// publisher. What others publish after the start may be in the log before
		// the listeners are back.
		var last *client.Ack
		for _, id := range ids(n, 10) {
			last = sendOne(t, c, id)
		}
		w.revive(i)
		if _, err := last.Wait(soon(t)); err != nil {
			t.Fatal(err)
		}
		send(t, c, n+10, 90)
		hear(100)
	}
}
