package hubprotocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// JSON is the text protocol.
var JSON Protocol = textProtocol{}

type textProtocol struct{}

// separator ends every message of JSON. It is a control character, which no JSON
// text contains: inside strings they are escaped.
const separator = 0x1e

// ErrTooLarge is answered by Cut.
var ErrTooLarge = errors.New("the message is larger than a hub message may be")

func (textProtocol) Name() string { return "json" }
func (textProtocol) Binary() bool { return false }

func (textProtocol) Cut(b []byte, limit int) (message, rest []byte, err error) {
	end := bytes.IndexByte(b, separator)
	switch {
	case end > limit, end < 0 && len(b) > limit:
		return nil, b, ErrTooLarge
	case end < 0:
		return nil, b, nil
	}
	return b[:end:end], b[end+1:], nil
}

// members are those of all kinds; their types are checked with the kind.
type members struct {
	InvocationID   *string           `json:"invocationId"`
	Target         *string           `json:"target"`
	Arguments      []json.RawMessage `json:"arguments"`
	StreamIDs      []string          `json:"streamIds"`
	Item           json.RawMessage   `json:"item"`
	Result         json.RawMessage   `json:"result"`
	Error          string            `json:"error"`
	AllowReconnect bool              `json:"allowReconnect"`
	SequenceID     *int64            `json:"sequenceId"`
}

func (textProtocol) Parse(b []byte) (Message, error) {
	if !utf8.Valid(b) {
		return Message{}, errors.New("a message is not valid UTF-8")
	}
	if !json.Valid(b) || firstByte(b) != '{' {
		return Message{}, errors.New("a message is not a JSON object")
	}
	var head struct {
		Type *int64 `json:"type"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Type == nil {
		return Message{}, errors.New("a message needs a type, which is a whole number")
	}
	m := Message{Kind: Kind(*head.Type)}
	if m.Kind < Invocation || m.Kind > Sequence || m.Kind == Ping {
		return m, nil
	}
	var in members
	if err := json.Unmarshal(b, &in); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return m, fmt.Errorf("member %s of a message of type %d is a %s", wrong.Field, m.Kind, wrong.Value)
		}
		return m, fmt.Errorf("a message of type %d cannot be read", m.Kind)
	}
	m.Arguments, m.StreamIDs, m.Error, m.AllowReconnect = in.Arguments, in.StreamIDs, in.Error, in.AllowReconnect
	if in.InvocationID != nil {
		m.InvocationID = *in.InvocationID
	}
	if in.Target != nil {
		m.Target = *in.Target
	}
	if m.Result = in.Result; m.Kind == StreamItem {
		m.Result = in.Item
	}
	if in.SequenceID != nil {
		m.SequenceID = *in.SequenceID
	}
	return m, m.check(in.Target != nil, in.SequenceID != nil)
}

// firstByte of JSON text, behind white space.
func firstByte(b []byte) byte {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) > 0 {
		return b[0]
	}
	return 0
}

// check says what a message of its kind lacks. Whether it answers something that
// was asked is not for the protocol to say.
func (m *Message) check(hasTarget, hasSequence bool) error {
	switch m.Kind {
	case Invocation, StreamInvocation:
		if !hasTarget {
			return fmt.Errorf("a message of type %d needs a target", m.Kind)
		}
	case Ack, Sequence:
		if !hasSequence || m.SequenceID < 0 {
			return fmt.Errorf("a message of type %d needs a sequenceId of 0 or more", m.Kind)
		}
	default:
	}
	if m.InvocationID == "" && (m.Kind == StreamInvocation || m.Kind == CancelInvocation) {
		return fmt.Errorf("a message of type %d needs an invocationId", m.Kind)
	}
	return nil
}

func (textProtocol) Append(dst []byte, m Message) []byte {
	dst = strconv.AppendInt(append(dst, `{"type":`...), int64(m.Kind), 10)
	if m.InvocationID != "" {
		dst = appendString(append(dst, `,"invocationId":`...), m.InvocationID)
	}
	switch m.Kind {
	case Invocation, StreamInvocation:
		dst = appendString(append(dst, `,"target":`...), m.Target)
		dst = append(dst, `,"arguments":[`...)
		for i, a := range m.Arguments {
			dst = append(comma(dst, i), a...)
		}
		dst = append(dst, ']')
		if len(m.StreamIDs) > 0 {
			dst = append(dst, `,"streamIds":[`...)
			for i, id := range m.StreamIDs {
				dst = appendString(comma(dst, i), id)
			}
			dst = append(dst, ']')
		}
	case StreamItem:
		dst = append(append(dst, `,"item":`...), m.Result...)
	case Completion:
		switch {
		case m.Error != "":
			dst = appendString(append(dst, `,"error":`...), m.Error)
		case m.Result != nil:
			dst = append(append(dst, `,"result":`...), m.Result...)
		}
	case Close:
		if m.Error != "" {
			dst = appendString(append(dst, `,"error":`...), m.Error)
		}
		if m.AllowReconnect {
			dst = append(dst, `,"allowReconnect":true`...)
		}
	case Ack, Sequence:
		dst = strconv.AppendInt(append(dst, `,"sequenceId":`...), m.SequenceID, 10)
	default:
	}
	return append(dst, '}', separator)
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// appendString writes a JSON string; what is no UTF-8 in it becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string is always JSON
	return append(dst, b...)
}
