package e2e

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
)

// arrival is one event as a listener got it.
type arrival struct {
	cursor string
	event  event.Event
}

// listener receives what one client of the platform gets.
type listener struct {
	t    *testing.T
	name string
	got  chan arrival
	last string
}

// next waits for one event; its cursor must be above the one before.
func (l *listener) next() arrival {
	l.t.Helper()
	select {
	case a := <-l.got:
		if a.cursor <= l.last {
			l.t.Fatalf("%s: cursor %s of %s is not above %s", l.name, a.cursor, a.event.ID, l.last)
		}
		l.last = a.cursor
		return a
	case <-soon(l.t).Done():
		l.t.Fatalf("%s: nothing came after %s", l.name, l.last)
	}
	return arrival{}
}

// want reads the events with these ids, in this order and nothing between.
func (l *listener) want(ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		if a := l.next(); a.event.ID != id {
			l.t.Fatalf("%s: got %q, want %q", l.name, a.event.ID, id)
		}
	}
}

// listeners are one of each kind, live, for the topic invoices of tenant AA.
func listeners(t *testing.T, w *world) []*listener {
	t.Helper()
	token := w.token()
	return []*listener{openWindow(t, w, token), openStream(t, w, token)}
}

// openWindow is the Go client on a WebSocket.
func openWindow(t *testing.T, w *world, token string) *listener {
	t.Helper()
	l := &listener{t: t, name: "websocket", got: make(chan arrival, 1024)}
	window, err := client.Open(soon(t), w.url("ws", "/v1/ws"), client.OpenOptions{
		Token: token, HTTPClient: w.http, BackoffMin: 10 * time.Millisecond, BackoffMax: 200 * time.Millisecond,
		Subscriptions: []client.Subscription{{Tenant: "AA", Topic: "invoices"}},
	})
	if err != nil {
		t.Fatalf("open a window: %v", err)
	}
	t.Cleanup(window.Close)
	go func() {
		for it, err := range window.Events(t.Context()) {
			if err != nil {
				if t.Context().Err() == nil {
					t.Errorf("window: %v", err)
				}
				return
			}
			l.got <- arrival{it.Cursor.String(), it.Event}
		}
	}()
	return l
}

// openStream reads server-sent events as a browser does: it comes back with
// Last-Event-ID when the connection ends.
func openStream(t *testing.T, w *world, token string) *listener {
	t.Helper()
	l := &listener{t: t, name: "event stream", got: make(chan arrival, 1024)}
	live, ended := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for id := ""; ctx.Err() == nil; {
			id = readStream(ctx, w, token, id, l.got, func() {
				select {
				case <-live:
				default:
					close(live)
				}
			})
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	select {
	case <-live:
	case <-soon(t).Done():
		t.Fatal("the event stream did not open")
	}
	return l
}

// readStream reads one connection to its end and returns the last id.
func readStream(ctx context.Context, w *world, token, last string, got chan<- arrival, live func()) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url("http", "/v1/sse?topic=invoices"), nil)
	if err != nil {
		return last
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := w.http.Do(r)
	if err != nil {
		return last
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return last
	}
	var data string
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "id":
			last = value
			live()
		case field == "data":
			data = value
		case field == "" && data != "":
			e, err := event.ParseJSON([]byte(data))
			if err == nil {
				got <- arrival{last, e}
			}
			data = ""
		}
	}
	return last
}
