package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Goodbyes of a gateway that stops: over every transport, with a way back.
func TestSR1Drain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	socket := w.hubOpen(token)
	stream := w.hubNegotiate(token)
	events := w.stream(stream, token, "Accept", "text/event-stream")
	w.call("POST", stream, token, `{"protocol":"json","version":1}`+"\x1e")
	polls := w.hubNegotiate(token)
	w.call("GET", polls, token, "")
	w.call("POST", polls, token, `{"protocol":"json","version":1}`+"\x1e")
	w.call("GET", polls, token, "")
	w.hubNegotiate(token)
	w.call("GET", w.hubNegotiate(token), token, "") // which never shakes hands
	for path, want := range map[string]bool{polls: true, stream: false, HubPath: false, HubPath + "/x" + strings.TrimPrefix(polls, HubPath): false} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", path, nil)
		if w.s.Expects(r) != want {
			t.Errorf("%s is expected: %v", path, !want)
		}
	}
	polled := make(chan string, 1)
	go func() {
		_, body := w.call("GET", polls, token, "")
		polled <- body
	}()
	told := make(chan hubMessage, 1)
	go func() {
		told <- socket.next()
		_, _ = socket.read() // answers the close frame
	}()
	w.stop()
	const goodbye = `{"type":7,"allowReconnect":true}` + "\x1e"
	if m := <-told; m.Type != 7 || !m.AllowReconnect || m.Error != "" {
		t.Errorf("socket: %+v", m)
	}
	if body := <-polled; body != goodbye {
		t.Errorf("poll: %q", body)
	}
	all, err := io.ReadAll(events.in)
	if err != nil || !strings.HasSuffix(string(all), "data: "+goodbye+"\r\n\r\n") {
		t.Errorf("stream: %q %v", all, err)
	}
}

// A client that does not read is cut, and nobody else waits for it.
func TestSR1SlowClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.QueueBytes, c.WriteTimeout = 64<<10, time.Second }))
	slow := w.hubOpen(w.token())
	slow.subscribe(`{"e":"portos.resources.changed"}`)
	quick := w.hubOpen(w.token())
	quick.subscribe(`{"e":"portos.resources.changed"}`)
	big := `{"x":"` + strings.Repeat("x", 60<<10) + `"}`
	for n := 0; len(w.s.hub.all()) == 2; n++ {
		if n == 1000 {
			t.Fatal("nobody is cut")
		}
		w.publish("evt.AA.devices.created", big)
		quick.event()
	}
	for { // it may have been told, or cut in the middle of a write
		if _, err := slow.read(); err != nil {
			break
		}
	}
}

// Messages that come faster than they may wait, and are all taken.
func TestSR1MessagesAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &hubWindow{s: &Service{config: Config{MaxFrameRate: 10}}}
		began := time.Now()
		for range 150 {
			if err := w.Pace(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("150 messages at 10 a second, 100 of them at once, took %s", took)
		}
	})
}
