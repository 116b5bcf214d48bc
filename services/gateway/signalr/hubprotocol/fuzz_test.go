package hubprotocol

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const limit = 32 << 10

// seed feeds a fuzzer with every golden message, in one protocol.
func seed(f *testing.F, p Protocol) {
	for _, m := range frames {
		f.Add(p.Append(nil, m))
	}
}

func FuzzJSON(f *testing.F) {
	seed(f, JSON)
	f.Fuzz(func(t *testing.T, b []byte) { check(t, JSON, MessagePack, b) })
}

func FuzzMessagePack(f *testing.F) {
	seed(f, MessagePack)
	f.Fuzz(func(t *testing.T, b []byte) { check(t, MessagePack, JSON, b) })
}

// check reads a stream of messages, and each one that can be read is written in
// both protocols and must come back the same.
func check(t *testing.T, p, other Protocol, b []byte) {
	t.Helper()
	for len(b) > 0 {
		message, rest, err := p.Cut(b, limit)
		if err != nil || message == nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatal("nothing was cut")
		}
		b = rest
		m, err := p.Parse(message)
		if err != nil || m.Kind < Invocation || m.Kind > Sequence || m.Error != "" && m.Result != nil {
			continue
		}
		normal(&m)
		for _, p := range []Protocol{p, other} {
			again := p.Append(nil, m)
			message, rest, err := p.Cut(again, 64*limit)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: %q is not cut: %v", p.Name(), again, err)
			}
			got, err := p.Parse(message)
			if err != nil {
				t.Fatalf("%s: %q is not parsed: %v", p.Name(), again, err)
			}
			normal(&got)
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("%s: %q comes back as\n%s", p.Name(), again, diff)
			}
		}
	}
}

// normal forgets what the two protocols write differently and what means the same.
func normal(m *Message) {
	for i, a := range m.Arguments {
		m.Arguments[i] = value(a)
	}
	if m.Result != nil || m.Kind == StreamItem {
		m.Result = value(m.Result)
	}
	if len(m.Arguments) == 0 {
		m.Arguments = nil
	}
	if len(m.StreamIDs) == 0 {
		m.StreamIDs = nil
	}
	switch m.Kind {
	case Close:
		m.InvocationID, m.Result = "", nil
	case Ack, Sequence, Ping:
		*m = Message{Kind: m.Kind, SequenceID: m.SequenceID}
	case Invocation, StreamInvocation:
		m.Result, m.Error, m.SequenceID, m.AllowReconnect = nil, "", 0, false
	default:
		m.Target, m.Arguments, m.StreamIDs, m.AllowReconnect, m.SequenceID = "", nil, nil, false, 0
		if m.Kind != Completion {
			m.Error = ""
		}
		if m.Kind == CancelInvocation {
			m.Result = nil
		}
	}
	if m.Kind == Close {
		*m = Message{Kind: Close, Error: m.Error, AllowReconnect: m.AllowReconnect}
	}
}

// value is JSON as a float would survive it: members sorted, numbers as float64,
// the last of two members of one name.
func value(text json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return json.RawMessage("null")
	}
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("{\"protocol\":\"json\",\"version\":1}\x1e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		message, _, err := CutHandshake(b, limit)
		if err != nil || message == nil {
			return
		}
		if h, err := ParseHandshake(message); err == nil && h.Protocol == nil {
			t.Fatal("a handshake without a protocol")
		}
	})
}
