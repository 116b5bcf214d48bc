package hubprotocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MessagePack is the binary protocol.
var MessagePack Protocol = binaryProtocol{}

type binaryProtocol struct{}

func (binaryProtocol) Name() string { return "messagepack" }
func (binaryProtocol) Binary() bool { return true }

// maxPrefix is how many bytes the length before a message may take, 7 bits in
// each: enough for 2 GiB.
const maxPrefix = 5

func (binaryProtocol) Cut(b []byte, limit int) (message, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	switch {
	case n < 0 || n > maxPrefix || n == 0 && len(b) >= maxPrefix:
		return nil, b, errors.New("the length before a message is malformed")
	case n > 0 && size > uint64(limit):
		return nil, b, ErrTooLarge
	case n == 0 || uint64(len(b)-n) < size:
		return nil, b, nil
	}
	end := n + int(size)
	return b[n:end:end], b[end:], nil
}

// Kinds of a Completion.
const (
	withError  = 1
	withoutAny = 2
	withResult = 3
)

// Parse reads one array. Elements behind those we know are a newer client's.
//
//	[1, headers, id or nil, target, [arguments], [streamIds]?]   4 with an id
//	[2, headers, id, item]
//	[3, headers, id, kind, error or result]                      kind 2: nothing follows
//	[5, headers, id]
//	[6]
//	[7, error or nil, allowReconnect?]
//	[8, sequenceId], [9, sequenceId]
func (binaryProtocol) Parse(b []byte) (Message, error) {
	in := reader{b: b}
	size := in.array()
	m := Message{Kind: Kind(in.integer())}
	if in.err != nil || size < 1 {
		return m, errors.New("a message is not an array that begins with its type")
	}
	in.left = size - 1
	m.read(&in)
	if in.err != nil {
		return m, fmt.Errorf("a message of type %d is malformed: %w", m.Kind, in.err)
	}
	for ; in.left > 0; in.left-- {
		in.skip()
	}
	if in.err != nil || len(in.b) > 0 {
		return m, errors.New("a message is longer or shorter than the length before it")
	}
	return m, m.check(true, true)
}

func (m *Message) read(in *reader) {
	if m.Kind >= Invocation && m.Kind <= CancelInvocation {
		in.element(in.skip) // headers
		in.element(func() { m.InvocationID = in.textOrNil() })
	}
	switch m.Kind {
	case Invocation, StreamInvocation:
		in.element(func() { m.Target = in.text() })
		in.element(func() {
			for range in.array() {
				m.Arguments = append(m.Arguments, in.value())
			}
		})
		in.optional(func() {
			for range in.array() {
				m.StreamIDs = append(m.StreamIDs, in.text())
			}
		})
	case StreamItem:
		in.element(func() { m.Result = in.value() })
	case Completion:
		var kind int64
		in.element(func() { kind = in.integer() })
		switch kind {
		case withError:
			in.element(func() { m.Error = in.text() })
		case withResult:
			in.element(func() { m.Result = in.value() })
		case withoutAny:
		default:
			in.fail("its kind of result is unknown")
		}
	case Close:
		in.element(func() { m.Error = in.textOrNil() })
		in.optional(func() { m.AllowReconnect = in.boolean() })
	case Ack, Sequence:
		in.element(func() { m.SequenceID = in.integer() })
	default:
	}
}

func (binaryProtocol) Append(dst []byte, m Message) []byte {
	body := m.appendBody(make([]byte, 0, 256+m.size()))
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// size is about how much of m is not ours.
func (m *Message) size() (n int) {
	for _, a := range m.Arguments {
		n += len(a)
	}
	return n + len(m.Result) + len(m.Error)
}

func (m *Message) appendBody(b []byte) []byte {
	switch m.Kind {
	case Invocation, StreamInvocation:
		b = m.appendHead(b, 5+min(len(m.StreamIDs), 1))
		b = packString(b, m.Target)
		b = packArray(b, len(m.Arguments))
		for _, a := range m.Arguments {
			b = packJSON(b, a)
		}
		if len(m.StreamIDs) > 0 {
			b = packArray(b, len(m.StreamIDs))
			for _, id := range m.StreamIDs {
				b = packString(b, id)
			}
		}
	case StreamItem:
		b = packJSON(m.appendHead(b, 4), m.Result)
	case Completion:
		switch {
		case m.Error != "":
			b = packString(packInt(m.appendHead(b, 5), withError), m.Error)
		case m.Result != nil:
			b = packJSON(packInt(m.appendHead(b, 5), withResult), m.Result)
		default:
			b = packInt(m.appendHead(b, 4), withoutAny)
		}
	case CancelInvocation:
		b = m.appendHead(b, 3)
	case Close:
		b = packInt(packArray(b, 3), int64(Close))
		b = packBool(packStringOrNil(b, m.Error), m.AllowReconnect)
	case Ack, Sequence:
		b = packInt(packInt(packArray(b, 2), int64(m.Kind)), m.SequenceID)
	default:
		b = packInt(packArray(b, 1), int64(m.Kind))
	}
	return b
}

// appendHead begins the message as all counted kinds do: no headers, and the id.
func (m *Message) appendHead(b []byte, elements int) []byte {
	b = packInt(packArray(b, elements), int64(m.Kind))
	b = append(b, fixMap)
	return packStringOrNil(b, m.InvocationID)
}
