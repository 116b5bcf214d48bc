package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/realtime"
)

// presence is what one gateway answers about a user.
func (f *front) presence(t *testing.T, hc *http.Client, token, user string) (online bool, connections, gateways int) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+f.addr+"/v1/presence/"+user, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := hc.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	var answer struct {
		Presence struct {
			Online                bool
			Connections, Gateways int
		}
	}
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("presence of %s: %d %s %v", user, resp.StatusCode, b, err)
	}
	return answer.Presence.Online, answer.Presence.Connections, answer.Presence.Gateways
}

// comings collects what is announced, by name of the user.
type comings struct {
	mu   sync.Mutex
	seen map[string][]bool
}

func (c *comings) of(user string) []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen[user])
}

// RT2, RT7: three windows of one user at two gateways. One gateway is killed: the other
// says how many windows are left, who was only there is offline, once, and the user,
// who never was, is not. (Within five seconds: services/gateway/internal/roster says so
// under fake time.) The windows come back.
func TestRT7AGatewayIsKilled(t *testing.T) {
	t.Parallel()
	w := separateProcesses(t)
	w.t = t
	hc := &http.Client{}
	t.Cleanup(hc.CloseIdleConnections)
	at := func(front int, user string, back time.Duration) *client.Window {
		t.Helper()
		window, err := client.Open(soon(t), "ws://"+w.fronts[front].addr+"/v1/ws", client.OpenOptions{
			Token: w.token("--user", user), BackoffMin: back, BackoffMax: back + time.Millisecond,
			Subscriptions: []client.Subscription{{Tenant: "AA", Topic: "invoices"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(window.Close)
		return window
	}
	nc := publisher(t, w)
	heard := &comings{seen: map[string][]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		for p, err := range nc.Presence(ctx, "AA") {
			if err == nil {
				heard.mu.Lock()
				heard.seen[p.User] = append(heard.seen[p.User], p.Online)
				heard.mu.Unlock()
			}
		}
	}()
	token := w.token("--user", "operator")
	windows := []*client.Window{at(0, "anna", 10*time.Millisecond), at(1, "anna", 10*time.Millisecond), at(1, "anna", 10*time.Millisecond)}
	at(1, "eva", time.Hour) // she does not come back
	sees := func(front int, user string, connections, gateways int) func() bool {
		return func() bool {
			online, c, g := w.fronts[front].presence(t, hc, token, user)
			return online == (connections > 0) && c == connections && g == gateways
		}
	}
	for front := range w.fronts {
		bustest.Eventually(t, patience, "both gateways know of all windows", sees(front, "anna", 3, 2))
		bustest.Eventually(t, patience, "and of eva", sees(front, "eva", 1, 1))
	}
	notify := func() {
		t.Helper()
		reach, err := nc.Notify(soon(t), realtime.Recipient{Tenant: "AA", User: "anna"}, "NOT", func(context.Context) (event.Event, error) {
			return event.Event{Data: []byte(`{"text":"hello"}`)}, nil
		})
		if err != nil || reach.Connections == 0 {
			t.Fatalf("reached %+v, %v", reach, err)
		}
	}
	notify()
	for i, window := range windows {
		if it, err := window.Next(soon(t)); err != nil || it.Event.Type != "NOT" {
			t.Fatalf("window %d: %+v, %v", i, it, err)
		}
	}

	w.end(1, syscall.SIGKILL)
	bustest.Eventually(t, patience, "the dead gateway's users are offline", sees(0, "eva", 0, 0))
	bustest.Eventually(t, patience, "of three windows one is left", sees(0, "anna", 1, 1))
	bustest.Eventually(t, patience, "eva's going is announced", func() bool { return slices.Equal(heard.of("eva"), []bool{true, false}) })
	notify()
	if it, err := windows[0].Next(soon(t)); err != nil || it.Event.Type != "NOT" {
		t.Fatalf("the window that is left: %+v, %v", it, err)
	}

	w.revive(1)
	for front := range w.fronts {
		bustest.Eventually(t, patience, "the windows are back", sees(front, "anna", 3, 2))
	}
	// What was published while they were away they have, and nothing twice.
	send(t, nc, 0, 20)
	for _, window := range windows {
		for _, id := range ids(0, 20) {
			if it, err := window.Next(soon(t)); err != nil || it.Event.ID != id {
				t.Fatalf("got %+v, %v; want %s", it.Event, err, id)
			}
		}
	}
	if got := heard.of("anna"); !slices.Equal(got, []bool{true}) {
		t.Errorf("anna, who never left, was announced %v", got)
	}
}
