package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A window that asks for compression has it where the operator allows it, beside
// others that have not, and misses nothing: pings, large events, the code of the end.
func TestCompression(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.Compression, c.PingEvery = true, unhurried }))
	dial := func(mode websocket.CompressionMode) *window {
		ws, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+w.token(),
			&websocket.DialOptions{Subprotocols: []string{Subprotocol}, CompressionMode: mode})
		if err != nil {
			t.Fatal(err)
		}
		has := strings.Contains(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
		if has != (mode != websocket.CompressionDisabled) {
			t.Fatalf("asked for %v, got extensions %q", mode, resp.Header.Get("Sec-WebSocket-Extensions"))
		}
		ws.SetReadLimit(-1)
		t.Cleanup(func() { _ = ws.CloseNow() })
		c := &window{t: t, ws: ws}
		c.next() // welcome
		if f := c.ask(`{"subscribe":{"topic":"invoices"}}`); f.Subscribed == nil {
			t.Fatalf("%+v", f)
		}
		return c
	}
	windows := []*window{dial(websocket.CompressionNoContextTakeover), dial(websocket.CompressionContextTakeover), dial(websocket.CompressionDisabled)}
	const many, large = 200, 100 << 10
	go func() {
		for i := range many {
			data := fmt.Sprintf(`{"n":%d}`, i)
			if i%50 == 49 {
				data = fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("all work and no play ", large/21))
			}
			w.publish("evt.AA.invoices.created", data)
		}
	}()
	for i := range many {
		for _, c := range windows {
			if f := c.event(); !bytes.Contains(f.Event.Data, []byte(fmt.Sprintf(`"n":%d`, i))) {
				t.Fatalf("event %d is %.80s", i, f.Event.Data)
			}
		}
	}
	// Twice the ping interval in silence, and a second more: only who answers pings is
	// still there. Reading answers them.
	silent, cancel := context.WithTimeout(t.Context(), 2*unhurried+2*time.Second)
	defer cancel()
	ended := make(chan error, len(windows))
	for _, c := range windows {
		go func() {
			_, _, err := c.ws.Read(silent)
			ended <- err
		}()
	}
	for range windows {
		if err := <-ended; silent.Err() == nil {
			t.Errorf("ended before its time: %v", err)
		}
	}
	last := dial(websocket.CompressionNoContextTakeover)
	go w.stop()
	if _, err := last.read(); websocket.CloseStatus(err) != websocket.StatusCode(fault.Draining.CloseCode()) {
		t.Errorf("ended with %v", err)
	}
}

// Nobody is compressed unless the operator says so.
func TestNoCompressionByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ws, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+w.token(),
		&websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, HTTPHeader: http.Header{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if e := resp.Header.Get("Sec-WebSocket-Extensions"); e != "" {
		t.Errorf("extensions %q", e)
	}
}
