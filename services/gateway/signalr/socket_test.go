package signalr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

func mustAnna() *auth.Principal {
	return &auth.Principal{Issuer: "test", Subject: "anna", Expires: time.Now().Add(time.Hour)}
}

var protocolJSON = hubprotocol.JSON

// nowhere is a line that remembers only what was said last.
type nowhere struct{ said string }

func (n *nowhere) send(m []Message) error { n.said = string(m[0].Bytes); return nil }
func (n *nowhere) close()                 {}
func (n *nowhere) abort()                 {}

// pings counts what a window is given.
type pings struct {
	window

	n int
}

func (p *pings) Put(Message)     { p.n++ }
func (p *pings) Leave()          {}
func (p *pings) Shut(fault.Code) {}

func TestSR1Calls(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	c := r.open("")
	c.send(`{"type":6}`)
	for _, ask := range []struct{ send, want string }{
		{`{"type":1,"target":"SUBSCRIBE","invocationId":"1","arguments":[]}`, `{"type":3,"invocationId":"1","result":null}`},
		{`{"type":1,"target":"Nope","invocationId":"2","arguments":[]}`, `{"type":3,"invocationId":"2","error":"Unknown hub method 'Nope'"}`},
		{`{"type":1,"target":"Bind","invocationId":"3","arguments":[]}`, `{"type":3,"invocationId":"3","error":"Failed to invoke 'Bind' due to an error on the server."}`},
		{`{"type":1,"target":"Break","invocationId":"4","arguments":[]}`, `{"type":3,"invocationId":"4","error":"An unexpected error occurred invoking 'Break' on the server."}`},
		{
			`{"type":1,"target":"Refuse","invocationId":"5","arguments":[]}`,
			`{"type":3,"invocationId":"5","error":"An unexpected error occurred invoking 'Refuse' on the server. HubException: unknown_name: e: \"x\" is not the name of an event"}`,
		},
		{
			`{"type":4,"target":"Subscribe","invocationId":"6","arguments":[]}`,
			`{"type":3,"invocationId":"6","error":"The client attempted to invoke the non-streaming 'Subscribe' method with a streaming invocation."}`,
		},
	} {
		c.send(ask.send)
		c.want(ask.want)
	}
	// No id: no answer, ever. What answers nothing we asked is ignored, and what we do
	// not know.
	c.send(`{"type":1,"target":"Nope","arguments":[]}`, `{"type":1,"target":"Subscribe","arguments":[],"invocationId":""}`,
		`{"type":3,"invocationId":"9","result":1}`, `{"type":2,"invocationId":"9","item":1}`, `{"type":5,"invocationId":"9"}`,
		`{"type":8,"sequenceId":5}`, `{"type":9,"sequenceId":5}`, `{"type":77}`,
		`{"type":1,"target":"Subscribe","invocationId":"7","arguments":[]}`)
	c.want(`{"type":3,"invocationId":"7","result":null}`)
}

// 1,000 calls at once are one frame of some 100 KiB for clients, and come in
// whatever pieces.
func TestSR1ManyCallsInOneFrame(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	c := r.dial("")
	messages := []string{`{"protocol":"json","version":1}`}
	var want []string
	for n := range 1000 {
		messages = append(messages, fmt.Sprintf(`{"type":1,"target":"Note","invocationId":"%d","arguments":["%s%d"]}`, n, strings.Repeat("x", 60), n))
		want = append(want, fmt.Sprintf(`{"type":3,"invocationId":"%d","result":null}`, n))
	}
	c.send(messages...)
	c.want("{}")
	c.want(want...)

	whole := `{"type":1,"target":"Note","invocationId":"a","arguments":[1]}` + "\x1e"
	for _, b := range []byte(whole) {
		if err := c.ws.Write(t.Context(), websocket.MessageBinary, []byte{b}); err != nil { // any frame will do
			t.Fatal(err)
		}
	}
	c.want(`{"type":3,"invocationId":"a","result":null}`)
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, call := range r.calls[:1000] {
		if !strings.HasSuffix(call, fmt.Sprintf("x%d\"", n)) {
			t.Fatalf("call %d is %s", n, call)
		}
	}
}

// What is wrong ends the connection, with a reason; nobody else's.
func TestSR1WrongMessages(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	other := r.open("")
	for in, want := range map[string]string{
		"{":                                `{"type":7,"error":"invalid_frame: a message is not a JSON object"}`,
		"[]":                               `{"type":7,"error":"invalid_frame: a message is not a JSON object"}`,
		"{}":                               `{"type":7,"error":"invalid_frame: a message needs a type, which is a whole number"}`,
		`{"type":1}`:                       `{"type":7,"error":"invalid_frame: a message of type 1 needs a target"}`,
		`{"type":1,"target":7}`:            `{"type":7,"error":"invalid_frame: member target of a message of type 1 is a number"}`,
		"{\"type\":6,\"x\":\"\xff\"}":      `{"type":7,"error":"invalid_frame: a message is not valid UTF-8"}`,
		strings.Repeat("x", MaxMessage+1):  `{"type":7,"error":"frame_too_large: a hub message may have 32768 bytes"}`,
		strings.Repeat("[", MaxMessage-10): `{"type":7,"error":"invalid_frame: a message is not a JSON object"}`,
	} {
		c := r.open("")
		w := r.last()
		if err := c.ws.Write(t.Context(), websocket.MessageBinary, []byte(in+"\x1e")); err != nil {
			t.Fatal(err)
		}
		c.want(want)
		if code := c.ended(); code != websocket.StatusNormalClosure {
			t.Errorf("%.20s: closed with %d", in, code)
		}
		w.gone()
	}
	other.send(`{"type":1,"target":"Subscribe","invocationId":"1","arguments":[]}`)
	other.want(`{"type":3,"invocationId":"1","result":null}`)
}

func TestSR1WrongHandshakes(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	for in, want := range map[string]string{
		`{"protocol":"xml","version":1}`:  `{"error":"invalid_frame: the protocol 'xml' is not supported; json and messagepack are"}`,
		`{"protocol":"json","version":7}`: `{"error":"invalid_frame: version 7 of the protocol 'json' is not supported; 1 and 2 are"}`,
		`{"type":6}`:                      `{"error":"invalid_frame: a handshake needs a protocol"}`,
		"garbage":                         `{"error":"invalid_frame: a connection begins with {\"protocol\":\"json\",\"version\":1} and 0x1e, or \"messagepack\""}`,
		strings.Repeat(" ", MaxMessage+1): `{"error":"frame_too_large: a hub message may have 32768 bytes"}`,
	} {
		c := r.dial("")
		c.send(in)
		c.want(want)
		if code := c.ended(); code != websocket.StatusNormalClosure {
			t.Errorf("%.20s: closed with %d", in, code)
		}
	}
	r.mu.Lock()
	r.full = fault.New(fault.AtCapacity, "full")
	r.mu.Unlock()
	c := r.dial("")
	c.send(`{"protocol":"json","version":1}`)
	c.want(`{"error":"at_capacity: full"}`)
	c.ended()
}

// A client's goodbye, our goodbye, and what each looks like.
func TestSR1Close(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	c := r.open("")
	c.send(`{"type":7}`)
	if code := c.ended(); code != websocket.StatusNormalClosure {
		t.Errorf("closed with %d", code)
	}
	r.last().gone()

	for code, want := range map[fault.Code]string{
		fault.Draining:     `{"type":7,"allowReconnect":true}`,
		fault.SlowConsumer: `{"type":7,"error":"slow_consumer","allowReconnect":true}`,
		fault.TokenExpired: `{"type":7,"error":"token_expired","allowReconnect":true}`,
		fault.TokenRevoked: `{"type":7,"error":"token_revoked"}`,
	} {
		c := r.open("")
		w := r.last()
		w.event(1)
		w.Shut(code)
		c.want(event(1), want)
		if status := c.ended(); status != websocket.StatusNormalClosure {
			t.Errorf("%s: closed with %d", code, status)
		}
		w.gone()
	}
	// A call in progress is cancelled.
	c = r.open("")
	w := r.last()
	c.send(`{"type":1,"target":"Wait","invocationId":"1","arguments":[]}`)
	w.c.Abort()
	w.gone()
}

func TestSR1MessagePack(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	c := r.dial("")
	c.send(`{"protocol":"messagepack","version":1}`)
	kind, b, err := c.ws.Read(t.Context())
	if err != nil || kind != websocket.MessageBinary || string(b) != "{}\x1e" {
		t.Fatalf("%v %q %v", kind, b, err)
	}
	ask := hubprotocol.MessagePack.Append(nil, hubprotocol.Message{
		Kind: hubprotocol.Invocation, InvocationID: "1", Target: "Note", Arguments: []json.RawMessage{json.RawMessage(`{"e":"x"}`)},
	})
	for _, piece := range [][]byte{ask[:1], ask[1:7], append(append([]byte(nil), ask[7:]...), ask...)} {
		if err := c.ws.Write(t.Context(), websocket.MessageBinary, piece); err != nil {
			t.Fatal(err)
		}
	}
	answer := hubprotocol.MessagePack.Append(nil, hubprotocol.Message{Kind: hubprotocol.Completion, InvocationID: "1", Result: done})
	for got := ""; got != string(answer)+string(answer); {
		if _, b, err = c.ws.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		got += string(b)
	}
	if err := c.ws.Write(t.Context(), websocket.MessageBinary, []byte("\xff\xff\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	if _, b, err = c.ws.Read(t.Context()); err != nil || !strings.Contains(string(b), "the length before a message is malformed") {
		t.Errorf("%q %v", b, err)
	}
}
