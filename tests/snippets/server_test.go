package snippets

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
)

// serve runs a block that starts a server in a terminal of its own, and opens
// the page whose address it prints.
func (m *machine) serve(name string) *terminal {
	m.t.Helper()
	x := m.terminal()
	x.feed(m.block(name))
	page := x.expect(`Open +(http://\S+)`)[1]
	if !strings.HasPrefix(page, "http://"+m.here("127.0.0.1:8080")+"/") {
		m.t.Fatalf("the server prints %s", page)
	}
	if status, body := get(m.t, page, ""); status != http.StatusOK || !strings.Contains(body, "<html") {
		m.t.Fatalf("GET %s: %d %s", page, status, body)
	}
	return x
}

// stop stops the server with Ctrl-C.
func (m *machine) stop(x *terminal) {
	m.t.Helper()
	x.interrupt()
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:4222"} {
		if c, err := net.Dial("tcp", m.here(addr)); err == nil {
			c.Close()
			m.t.Errorf("%s is still served after Ctrl-C", addr)
		}
	}
}

// get answers status and body, 0 if there is no answer.
func get(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// ready waits for a program in the foreground of a terminal.
func (m *machine) ready(x *terminal, admin string) {
	m.t.Helper()
	bustest.Eventually(m.t, patience, "ready at "+admin, func() bool {
		select {
		case <-x.done:
			m.t.Fatal("the program ended")
		default:
		}
		status, _ := get(m.t, "http://"+m.here(admin)+"/readyz", "")
		return status == http.StatusOK
	})
}

// shown waits until the window in a terminal shows an event, by a text that only
// this one has, and gives it with its cursor.
func (x *terminal) shown(text string) (cursor string, e event.Event) {
	x.t.Helper()
	found := x.expect(`(?m)^id: (\S+)\ndata: (.*` + regexp.QuoteMeta(text) + `.*)$`)
	if err := json.Unmarshal([]byte(found[2]), new(any)); err != nil {
		x.t.Fatal(err)
	}
	e, err := event.ParseJSON([]byte(found[2]))
	if err != nil {
		x.t.Fatal(err)
	}
	return found[1], e
}
