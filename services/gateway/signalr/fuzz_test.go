package signalr

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// still is a host whose windows write nothing by themselves, so that what a client
// sends is all that happens.
type still struct{ entered int }

func (s *still) Authenticate(*http.Request, bool) (*auth.Principal, error) { return mustAnna(), nil }

func (s *still) Enter(*Conn, Message) (Window, error) {
	s.entered++
	return &stillWindow{}, nil
}

type stillWindow struct {
	ended fault.Code
	said  int
}

func (w *stillWindow) Push(context.Context, Message) error { w.said++; return nil }
func (w *stillWindow) Put(Message)                         { w.said++ }
func (w *stillWindow) Shut(code fault.Code)                { w.ended = code }
func (w *stillWindow) Pace(context.Context) error          { return nil }
func (w *stillWindow) Renew(*auth.Principal)               {}
func (w *stillWindow) Leave()                              {}

// Whatever bytes a client sends, over whichever transport, in whatever pieces: it has
// entered at most once, what was wrong has ended it, and afterwards nothing counts.
func FuzzConnection(f *testing.F) {
	const shake, pack = `{"protocol":"json","version":2}` + "\x1e", `{"protocol":"messagepack","version":2}` + "\x1e"
	call := hubprotocol.Message{Kind: hubprotocol.Invocation, InvocationID: "1", Target: "Note", Arguments: []json.RawMessage{json.RawMessage(`{"e":"x"}`)}}
	all := []hubprotocol.Message{call, {Kind: hubprotocol.Ping}, {Kind: hubprotocol.Sequence, SequenceID: 1}, {Kind: hubprotocol.Ack, SequenceID: 1}, {Kind: hubprotocol.Close}}
	for _, w := range []way{webSocket, eventStream, longPoll} {
		for text, p := range map[string]hubprotocol.Protocol{shake: hubprotocol.JSON, pack: hubprotocol.MessagePack} {
			b := []byte(text)
			for _, m := range all {
				b = p.Append(b, m)
			}
			f.Add(b, uint8(w), uint16(7))
			f.Add(b[:len(b)-3], uint8(w), uint16(4096))
		}
	}
	f.Add([]byte("garbage\x1e"), uint8(0), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, transport uint8, piece uint16) {
		h := &still{}
		calls := 0
		s := New(Options{Host: h, Peers: peer{&peers{owners: map[string]string{}}, "r"}, Methods: map[string]Method{
			"Note": func(context.Context, *Conn, []json.RawMessage, func()) error { calls++; return nil },
		}})
		s.Start(make([]byte, 32))
		defer s.Stop()
		w := way(transport % 3)
		tk := newTicket(&principalAnna, w == webSocket, time.Now())
		c := newConn(s, &principalAnna, w, tk, url.Values{"id": {s.seal.write(tk)}}, "")
		from := &source{}
		if err := c.connect(&nowhere{}, from); err != nil {
			t.Fatal(err)
		}
		for size := max(int(piece), 1); len(b) > 0; b = b[min(size, len(b)):] {
			c.receive(b[:min(size, len(b))], from)
		}
		if h.entered > 1 || len(from.partial) > MaxMessage+maxPiece {
			t.Fatalf("it has entered %d times and keeps %d bytes", h.entered, len(from.partial))
		}
		if c.over.Load() {
			before := calls
			c.receive(hubprotocol.JSON.Append(nil, call), from)
			if calls != before {
				t.Fatal("a call counts behind the end")
			}
		}
	})
}

// maxPiece is the largest piece that the fuzzer hands over.
const maxPiece = 1 << 16
