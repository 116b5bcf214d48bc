package hubprotocol

import "encoding/json"

// Kind is the type of a message, as it travels.
type Kind int64

// The kinds. Those that a stateful connection counts come first.
const (
	Invocation       Kind = 1 // a call, or from the server an event
	StreamItem       Kind = 2
	Completion       Kind = 3 // the answer to a call
	StreamInvocation Kind = 4
	CancelInvocation Kind = 5
	Ping             Kind = 6
	Close            Kind = 7
	Ack              Kind = 8 // everything up to SequenceID has come
	Sequence         Kind = 9 // the next counted message is number SequenceID
)

// Counted says whether a stateful connection numbers messages of this kind, keeps
// them until they are acknowledged, and sends them again.
func (k Kind) Counted() bool { return k >= Invocation && k <= CancelInvocation }

// Message is one hub message; which fields count depends on its kind. A kind
// that nobody knows is none to worry about: newer clients may have more.
type Message struct {
	Kind           Kind
	InvocationID   string            // opaque; "" = nobody waits for an answer
	Target         string            // Invocation, StreamInvocation: the method, compared ignoring case
	Arguments      []json.RawMessage // … its arguments; a nil one is something that JSON cannot hold
	StreamIDs      []string          // … streams of the client's that are arguments, too
	Result         json.RawMessage   // Completion, StreamItem: nil = none, which is not null
	Error          string            // Completion, Close: "" = none; excludes Result
	AllowReconnect bool              // Close: an automatic reconnect may follow
	SequenceID     int64             // Ack, Sequence
}

// Protocol writes and reads messages in one encoding. Both are stateless.
type Protocol interface {
	// Name is what the handshake calls it.
	Name() string
	// Binary says that it needs a transport for bytes, not only for text.
	Binary() bool
	// Cut finds the first message in b and what follows it. A nil message with a nil
	// error: it is not all there yet. ErrTooLarge as soon as it is clear that it has
	// more than limit bytes.
	Cut(b []byte, limit int) (message, rest []byte, err error)
	// Parse reads one message that Cut found. Errors are for people and name what is
	// wrong; of an unknown kind nothing but the kind is read. The message may share
	// memory with b.
	Parse(b []byte) (Message, error)
	// Append writes a whole message, with what separates it from the next. Arguments
	// and results must be valid JSON; those of JSON without control characters.
	Append(dst []byte, m Message) []byte
}

// Protocols by the name that the handshake gives them.
var protocols = map[string]Protocol{"json": JSON, "messagepack": MessagePack}
