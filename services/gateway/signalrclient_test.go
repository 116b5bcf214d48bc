package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// hubClient is a test's own SignalR client: JSON over a WebSocket.
type hubClient struct {
	t       testing.TB
	ws      *websocket.Conn
	pending []byte
	calls   int
}

// hubMessage is a message as it sees it.
type hubMessage struct {
	Type           int
	InvocationID   string
	Target         string
	Arguments      []json.RawMessage
	Error          string
	AllowReconnect bool
}

func (w *world) hubOpen(token string) *hubClient {
	w.t.Helper()
	ws, resp, err := websocket.Dial(w.t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+HubPath+"?access_token="+token, nil)
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	c := &hubClient{t: w.t, ws: ws}
	c.send(`{"protocol":"json","version":1}`)
	if b, err := c.read(); err != nil || string(b) != "{}" {
		w.t.Fatalf("handshake: %s %v", b, err)
	}
	return c
}

func (c *hubClient) send(text string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text+"\x1e")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *hubClient) read() ([]byte, error) {
	for {
		if message, rest, ok := bytes.Cut(c.pending, []byte{0x1e}); ok {
			c.pending = rest
			return message, nil
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		_, b, err := c.ws.Read(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
		c.pending = append(c.pending, b...)
	}
}

// next is the next message that is no ping.
func (c *hubClient) next() (m hubMessage) {
	c.t.Helper()
	for m.Type == 0 || m.Type == 6 {
		m = hubMessage{}
		b, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%s: %v", b, err)
		}
	}
	return m
}

// call calls a method and answers its error.
func (c *hubClient) call(method, argument string) string {
	c.t.Helper()
	c.calls++
	id := fmt.Sprint(c.calls)
	c.send(`{"type":1,"invocationId":"` + id + `","target":"` + method + `","arguments":[` + argument + `]}`)
	m := c.next()
	if m.Type != 3 || m.InvocationID != id {
		c.t.Fatalf("%s(%s): %+v", method, argument, m)
	}
	return m.Error
}

func (c *hubClient) subscribe(argument string) {
	c.t.Helper()
	if e := c.call("Subscribe", argument); e != "" {
		c.t.Fatalf("subscribe %s: %s", argument, e)
	}
}

// event is the argument of the next call of OnEvent.
func (c *hubClient) event() string {
	c.t.Helper()
	m := c.next()
	if m.Type != 1 || m.Target != "OnEvent" || m.InvocationID != "" || len(m.Arguments) != 1 {
		c.t.Fatalf("expected an event, got %+v", m)
	}
	return string(m.Arguments[0])
}

// hubNegotiate answers the hub's path with a new id.
func (w *world) hubNegotiate(token string) string {
	w.t.Helper()
	_, body := w.call("POST", HubPath+"/negotiate?negotiateVersion=1", token, "")
	var n struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(body), &n); err != nil || n.ConnectionToken == "" {
		w.t.Fatalf("negotiate: %s", body)
	}
	return HubPath + "?id=" + n.ConnectionToken
}
