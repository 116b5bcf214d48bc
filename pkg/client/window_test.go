package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

func open(t testing.TB, g *gate, o OpenOptions) *Window {
	t.Helper()
	set(&o.BackoffMin, time.Millisecond)
	set(&o.BackoffMax, 20*time.Millisecond)
	w, err := Open(limited(t, patience), g.url(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(w.Close)
	return w
}

// take reads events e<from>… from the window.
func take(t testing.TB, w *Window, from, n int) {
	t.Helper()
	ctx := limited(t, patience)
	for i := from; i < from+n; i++ {
		it, err := w.Next(ctx)
		if err != nil || it.Event.ID != fmt.Sprintf("e%d", i) || it.Cursor.Seq != uint64(i+1) {
			t.Fatalf("got %q at %v, %v; want e%d", it.Event.ID, it.Cursor, err, i)
		}
	}
}

var invoices = Subscription{Topic: "invoices"}

func TestWindow(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.publish(3)
	w := open(t, g, OpenOptions{Token: "secret"})
	at, err := w.Subscribe(limited(t, patience), invoices)
	if err != nil || at.Seq != 3 {
		t.Fatalf("subscribed at %v, %v", at, err)
	}
	g.publish(5)
	take(t, w, 3, 5)
	if _, err := w.Subscribe(limited(t, patience), Subscription{Name: "frm.unknown"}); fault.CodeOf(err) != fault.UnknownName {
		t.Fatalf("unknown name: %v", err)
	}
	if _, err := w.Subscribe(t.Context(), Subscription{Name: "frm.objectInserted", Topic: "x"}); fault.CodeOf(err) != fault.InvalidRequest {
		t.Fatalf("name and topic: %v", err)
	}
	if err := w.Unsubscribe(limited(t, patience), Subscription{Topic: "INVOICES"}); err != nil {
		t.Fatal(err)
	}
	if g.tokens[0] != "Bearer secret" {
		t.Fatalf("token: %q", g.tokens[0])
	}
	if len(w.subs) != 0 {
		t.Fatalf("still subscribed: %v", w.subs)
	}
	w.Close()
	w.Close()
	if _, err := w.Next(t.Context()); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("next on a closed window: %v", err)
	}
}

// However the connection ends, the window comes back and nothing is missing,
// doubled or out of order.
func TestWindowResumes(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]fault.Code{"broken": "", "draining": fault.Draining, "slow": fault.SlowConsumer, "unknown": "new_code"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}})
			n := 0
			for range 5 {
				g.publish(7)
				status := websocket.StatusCode(code.CloseCode())
				if code == "" {
					status = 0
				}
				g.cut(status, string(code))
				g.publish(7) // nobody listens
				take(t, w, n, 14)
				n += 14
			}
			// A subscription asked for while the wire is down is made when it is up.
			g.cut(0, "")
			if _, err := w.Subscribe(limited(t, patience), Subscription{Topic: "orders"}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Resuming before the first event uses the position of the subscription.
func TestWindowResumesBeforeFirstEvent(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.publish(4)
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}})
	g.cut(0, "")
	g.publish(2)
	take(t, w, 4, 2)
}

func TestWindowFromCursor(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.publish(10)
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}, Cursor: g.at(6)})
	take(t, w, 6, 4)
	_, err := Open(limited(t, patience), g.url(), OpenOptions{
		Subscriptions: []Subscription{invoices}, Cursor: event.Cursor{Epoch: "other001", Seq: 6},
	})
	if fault.CodeOf(err) != fault.CursorGone {
		t.Fatalf("open with a cursor of another log: %v", err)
	}
}

// A window that was away too long is told so, and goes on from now.
func TestWindowGone(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}})
	g.publish(1)
	take(t, w, 0, 1)
	g.mu.Lock()
	g.first = 5
	g.mu.Unlock()
	g.cut(0, "")
	ctx := limited(t, patience)
	if _, err := w.Next(ctx); fault.CodeOf(err) != fault.CursorGone {
		t.Fatalf("want cursor_gone, got %v", err)
	}
	if _, err := w.Subscribe(ctx, invoices); err != nil { // it stands again
		t.Fatal(err)
	}
	g.publish(1)
	take(t, w, 1, 1)
}

// Close codes from 4500 on, and refusals of the handshake, end the window.
func TestWindowEnds(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}})
	g.publish(2)
	g.cut(websocket.StatusCode(fault.TokenExpired.CloseCode()), string(fault.TokenExpired))
	<-w.Done()
	take(t, w, 0, 2) // received before
	if _, err := w.Next(t.Context()); fault.CodeOf(err) != fault.TokenExpired {
		t.Fatalf("closed with 4532: %v", err)
	}
	var last error
	for _, err := range w.Events(t.Context()) {
		last = err
	}
	if fault.CodeOf(last) != fault.TokenExpired {
		t.Fatalf("events of an ended window: %v", last)
	}
	g.mu.Lock()
	g.refuse = fault.New(fault.TokenInvalid, "no")
	g.mu.Unlock()
	if _, err := Open(limited(t, patience), g.url(), OpenOptions{}); fault.CodeOf(err) != fault.TokenInvalid {
		t.Fatalf("open with a wrong token: %v", err)
	}
}

// With a TokenFunc an expired token is replaced.
func TestWindowRenewsToken(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	n := 0
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}, TokenFunc: func(context.Context) (string, error) {
		n++
		return fmt.Sprint(n), nil
	}})
	g.cut(websocket.StatusCode(fault.TokenExpired.CloseCode()), string(fault.TokenExpired))
	g.publish(1)
	take(t, w, 0, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Equal(g.tokens, []string{"Bearer 1", "Bearer 2"}) {
		t.Fatalf("tokens %q", g.tokens)
	}
}

// With a TokenFunc a newer token takes the place of the one that will expire, on the
// same connection; what that does not grant is told, and not asked for again.
func TestWindowRenewsTokenInPlace(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	var n atomic.Int32
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices, {Topic: "orders"}}, TokenFunc: func(context.Context) (string, error) {
		return fmt.Sprint(n.Add(1)), nil
	}})
	g.warn()
	if _, err := w.Next(limited(t, patience)); fault.CodeOf(err) != fault.GrantMissing {
		t.Fatalf("what is not granted: %v", err)
	}
	g.publish(1)
	take(t, w, 0, 1)
	g.mu.Lock()
	if !slices.Equal(g.tokens, []string{"Bearer 1"}) || !slices.Contains(g.asked, `"token":{"accessToken":"2"}}`) {
		t.Errorf("tokens %q, asked %q", g.tokens, g.asked)
	}
	g.asked = nil
	g.mu.Unlock()
	g.cut(0, "")
	g.publish(1)
	take(t, w, 1, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) != 1 || strings.Contains(g.asked[0], "orders") {
		t.Errorf("asked %q", g.asked)
	}
}

// A program slower than its events: the queue is bounded, and everything comes.
func TestWindowQueue(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := open(t, g, OpenOptions{Subscriptions: []Subscription{invoices}, Queue: 4})
	g.publish(100)
	g.cut(0, "")
	g.publish(10)
	take(t, w, 0, 110)
	if len(w.items) > 4 {
		t.Fatalf("%d queued", len(w.items))
	}
}

func TestWindowRefuses(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.mu.Lock()
	g.refuse = fault.New(fault.Starting, "starting")
	g.mu.Unlock()
	for name, tc := range map[string]struct {
		url  string
		o    OpenOptions
		want fault.Code
	}{
		"starting":       {g.url(), OpenOptions{}, fault.Starting},
		"nobody there":   {"ws://127.0.0.1:1/v1/ws", OpenOptions{}, fault.Unavailable},
		"name and topic": {g.url(), OpenOptions{Subscriptions: []Subscription{{Name: "a", Verb: "b"}}}, fault.InvalidRequest},
		"backoff":        {g.url(), OpenOptions{BackoffMin: time.Hour}, fault.InvalidConfig},
	} {
		if _, err := Open(limited(t, patience), tc.url, tc.o); fault.CodeOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	w := &Window{o: OpenOptions{BackoffMin: 100 * time.Millisecond, BackoffMax: time.Second}}
	for attempt := range 100 {
		limit := time.Second
		if attempt < 4 {
			limit = min(limit, 100*time.Millisecond<<attempt)
		}
		for range 50 {
			if d := w.backoff(attempt); d < 0 || d >= limit {
				t.Fatalf("attempt %d waits %s, limit %s", attempt, d, limit)
			}
		}
	}
}
