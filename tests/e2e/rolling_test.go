package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// envWindows is how many windows the rolling restart has; make chaos sets 1,000.
const envWindows = "BELFRY_ROLLING_WINDOWS"

// GW2, GW7: both gateways are restarted, one after the other, while events flow and
// the log's leader steps down: every window has every event once, in the log's order.
func TestGW7RollingRestart(t *testing.T) {
	t.Parallel()
	count := 100
	if text := os.Getenv(envWindows); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	w := separateProcesses(t)
	w.t = t
	w.connect(t)
	token := w.token()
	windows := make([]*rolling, count)
	for i := range windows {
		windows[i] = openRolling(t, w, token)
	}

	c := publisher(t, w)
	running, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	var sent []string
	publishing.Go(func() {
		for n := 0; running.Err() == nil; n++ {
			id := fmt.Sprintf("e%d", n)
			// The same id again stores nothing, so it is tried until it is known to be kept.
			for {
				_, err := c.Publish(t.Context(), event.Event{ID: id, Tenant: "AA", Topic: "invoices", Verb: "created", Data: []byte(`{}`)})
				if err == nil {
					break
				}
				if fault.CodeOf(err).Kind() != fault.Down {
					t.Errorf("publish: %v", err)
					return
				}
			}
			sent = append(sent, id)
		}
	})
	grows := func() {
		t.Helper()
		before := windows[0].got.Load()
		bustest.Eventually(t, patience, "events flow", func() bool { return windows[0].got.Load() > before+20 })
	}
	grows()
	for i := range w.fronts {
		w.end(i, syscall.SIGTERM)
		grows()
		w.stepDown(t)
		grows()
		w.revive(i)
		grows()
	}
	stop()
	publishing.Wait()
	for i, r := range windows {
		bustest.Eventually(t, patience, fmt.Sprintf("window %d has all %d events", i, len(sent)), func() bool { return int(r.got.Load()) >= len(sent) })
		r.Close()
		<-r.over
		if r.wrong != "" || len(r.ids) != len(sent) {
			t.Errorf("window %d: %d of %d events; %s", i, len(r.ids), len(sent), r.wrong)
		}
	}
	t.Logf("%d events to each of %d windows", len(sent), count)
}

// rolling is a window and what came through it.
type rolling struct {
	*client.Window
	got   atomic.Int64
	over  chan struct{}   // closed when nothing more comes; then the rest may be read
	ids   map[string]bool // each once
	wrong string
}

func openRolling(t *testing.T, w *world, token string) *rolling {
	t.Helper()
	window, err := client.Open(soon(t), w.url("ws", "/v1/ws"), client.OpenOptions{
		Token: token, HTTPClient: w.http, BackoffMin: 10 * time.Millisecond, BackoffMax: 500 * time.Millisecond,
		Subscriptions: []client.Subscription{{Tenant: "AA", Topic: "invoices"}},
	})
	if err != nil {
		t.Fatalf("open a window: %v", err)
	}
	r := &rolling{Window: window, over: make(chan struct{}), ids: map[string]bool{}}
	t.Cleanup(func() { window.Close(); <-r.over })
	go func() {
		defer close(r.over)
		var last event.Cursor
		for {
			it, err := window.Next(context.Background())
			if err != nil {
				if fault.CodeOf(err) != fault.Unavailable {
					r.wrong = err.Error()
				}
				return
			}
			if r.ids[it.Event.ID] || it.Cursor.Seq <= last.Seq {
				r.wrong = fmt.Sprintf("%s at %s came after %s", it.Event.ID, it.Cursor, last)
			}
			r.ids[it.Event.ID], last = true, it.Cursor
			r.got.Add(1)
		}
	}()
	return r
}

// stepDown has the leader of the log give up its place to another server.
func (w *world) stepDown(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(w.rights)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	m, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.EVENTS", nil, patience)
	if err != nil {
		t.Fatalf("step down: %v", err)
	}
	t.Logf("step down: %s", m.Data)
}
