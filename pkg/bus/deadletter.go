package bus

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Headers of a dead letter beside those of the original, whose data it keeps as
// it was. The original's Nats- headers are instructions to a stream, so they do
// not travel; its message id is kept under a name of ours.
const (
	HeaderReason   = "Belfry-Reason"   // the fault's code and text
	HeaderSubject  = "Belfry-Subject"  // the original's subject
	HeaderStream   = "Belfry-Stream"   // the stream it was read from
	HeaderConsumer = "Belfry-Consumer" // who gave it up
	HeaderCursor   = "Belfry-Cursor"   // its position in that stream
	HeaderStored   = "Belfry-Stored"   // when it was stored there, RFC 3339
	HeaderAttempts = "Belfry-Attempts" // deliveries so far
	HeaderMsgID    = "Belfry-Msg-Id"   // the original's Nats-Msg-Id, if it had one
)

const (
	natsHeaders            = "Nats-"
	expectedSubjectLastSeq = "Nats-Expected-Last-Subject-Sequence"
)

// Letter is one message that is given up.
type Letter struct {
	Consumer string // who gives it up: durable or relay
	Stream   string // where it is stored
	At       event.Cursor
	Subject  string
	Header   nats.Header // may be nil
	Data     []byte
	Stored   time.Time
	Attempts uint64
	Reason   error
}

// DeadLetter writes a letter to DEADLETTERS, under a subject that belongs to
// this message and this consumer alone and must be empty: a letter that is
// already there is success. Codes unavailable, event_too_large.
func (b *Bus) DeadLetter(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	reply, err := b.NC.RequestMsgWithContext(ctx, l.msg())
	if err != nil {
		return publishFault(err)
	}
	if _, err = readAck(reply.Data); errors.Is(err, ErrExpectation) {
		return nil // written before, by us or by whoever held the message then
	}
	return err
}

func (l Letter) msg() *nats.Msg {
	header := make(nats.Header, len(l.Header)+8)
	maps.Copy(header, l.Header)
	maps.DeleteFunc(header, func(key string, _ []string) bool { return strings.HasPrefix(key, natsHeaders) })
	for key, value := range map[string]string{
		HeaderReason:           reasonText(l.Reason),
		HeaderSubject:          l.Subject,
		HeaderStream:           l.Stream,
		HeaderConsumer:         l.Consumer,
		HeaderCursor:           l.At.String(),
		HeaderStored:           l.Stored.UTC().Format(time.RFC3339Nano),
		HeaderAttempts:         strconv.FormatUint(l.Attempts, 10),
		expectedSubjectLastSeq: "0",
	} {
		header[key] = []string{value}
	}
	if id := l.Header.Get(nats.MsgIdHdr); id != "" {
		header[HeaderMsgID] = []string{id}
	}
	return &nats.Msg{Subject: subject.Dead(l.Consumer, l.At.String()), Header: header, Data: l.Data}
}

// reasonText is one header line: "<code>: <public text>".
func reasonText(err error) string {
	if err == nil {
		return string(fault.Internal)
	}
	e := fault.From(err)
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, string(e.Code())+": "+e.Error())
}

// letterOf is the letter for a consumer's message.
func letterOf(m jetstream.Msg, meta *jetstream.MsgMetadata, epoch string, reason error) Letter {
	return Letter{
		Consumer: meta.Consumer, Stream: meta.Stream,
		At:      event.Cursor{Epoch: epoch, Seq: meta.Sequence.Stream},
		Subject: m.Subject(), Header: m.Headers(), Data: m.Data(),
		Stored: meta.Timestamp, Attempts: meta.NumDelivered, Reason: reason,
	}
}
