package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
)

const apiDirect = "$JS.API.DIRECT.GET."

// Message is one stored message.
type Message struct {
	Subject string
	Header  nats.Header // what the publisher sent; by direct get, also the server's Nats-… headers
	Data    []byte
	Seq     uint64
	Time    time.Time // when it was stored
}

// OfDirect reads a message of a direct-get answer: the server appends to its header
// where it stands.
func OfDirect(answer *nats.Msg) (m Message, err error) {
	m = Message{Subject: event.Last(answer.Header, "Nats-Subject"), Header: answer.Header, Data: answer.Data}
	if m.Seq, err = strconv.ParseUint(event.Last(answer.Header, "Nats-Sequence"), 10, 64); err != nil {
		return m, fmt.Errorf("read a message's position: %w", err)
	}
	if m.Time, err = time.Parse(time.RFC3339Nano, event.Last(answer.Header, "Nats-Time-Stamp")); err != nil {
		return m, fmt.Errorf("read a message's time: %w", err)
	}
	return m, nil
}

// status is what a direct-get answer says that is no message; "" = it is one. A
// message has a position, so a header that its publisher called Status says nothing.
func status(answer *nats.Msg) string {
	if len(answer.Header["Nats-Sequence"]) > 0 {
		return ""
	}
	return answer.Header.Get("Status")
}

// Refused is the error of a direct-get answer that is a status: nats.ErrNoResponders
// where the stream does not allow direct gets, else a *jetstream.APIError.
func (s Stream) Refused(answer *nats.Msg) error {
	code := answer.Header.Get("Status")
	if code == "503" {
		return s.down(nats.ErrNoResponders)
	}
	n, _ := strconv.Atoi(code)
	return s.down(&jetstream.APIError{Code: n, Description: code + " " + answer.Header.Get("Description")})
}

// Near is the first message at or above from that matches filter, and how many match
// behind it; ok is false when there is none. Any replica may answer: what it shows may
// be deleted since, and what was just stored may be missing; but it shows everything
// up to the last that it shows.
func (s Stream) Near(ctx context.Context, filter string, from uint64) (m Message, behind int, ok bool, err error) {
	body, err := json.Marshal(request{Seq: max(from, 1), Next: filter, Batch: 1})
	if err != nil {
		return m, 0, false, fmt.Errorf("ask stream %s: %w", s.Name, err)
	}
	answer, err := s.Request(ctx, &nats.Msg{Subject: apiDirect + s.Name, Data: body})
	if err != nil {
		return m, 0, false, s.down(err)
	}
	switch status(answer) {
	case "":
	case "204", "404":
		return m, 0, false, nil
	default:
		return m, 0, false, s.Refused(answer)
	}
	if m, err = OfDirect(answer); err != nil {
		return m, 0, false, err
	}
	if behind, err = strconv.Atoi(event.Last(answer.Header, "Nats-Num-Pending")); err != nil {
		return m, 0, false, fmt.Errorf("read how many wait in %s: %w", s.Name, err)
	}
	return m, behind, true, nil
}

// Page reads the messages that match filter from sequence from upwards, from any
// replica: at most limit of them, and few more than maxBytes. end is true when the
// replica that answered had no more. The context bounds it.
func (s Stream) Page(ctx context.Context, nc *nats.Conn, filter string, from uint64, limit, maxBytes int) (page []Message, end bool, err error) {
	answer, err := s.Direct(ctx, nc, request{Seq: max(from, 1), Next: filter, Batch: limit, MaxBytes: maxBytes}, func(m Message) error {
		page = append(page, m)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	switch status(answer) {
	case "204": // pending says whether the replica had more
		return page, event.Last(answer.Header, "Nats-Num-Pending") == "0", nil
	case "404":
		return page, true, nil
	}
	return nil, false, s.Refused(answer)
}

// ErrTooMany says that subjects match more messages than one answer has, 1,024.
var ErrTooMany = errors.New("more messages than one answer has")

// Latest reads the newest message under each of many subjects, wildcards allowed, from any
// replica, and up to which sequence of the stream that one had them; 0 = it found none.
// The context bounds it. Besides the faults, ErrTooMany, and nats.ErrNoResponders behind
// one where the stream does not allow direct gets.
func (s Stream) Latest(ctx context.Context, nc *nats.Conn, subjs []string) (found map[string]Message, upTo uint64, err error) {
	found = map[string]Message{}
	end, err := s.Direct(ctx, nc, map[string]any{"multi_last": subjs}, func(m Message) error {
		found[m.Subject] = m
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	switch end.Header.Get("Status") {
	case "204": // the end
		upTo, err = strconv.ParseUint(end.Header.Get("Nats-UpTo-Sequence"), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("read the end of the answer of stream %s: %w", s.Name, err)
		}
		return found, upTo, nil
	case "404": // none
		return found, 0, nil
	case "413":
		return nil, 0, ErrTooMany
	}
	return nil, 0, s.Refused(end)
}

// Direct makes a direct get of many messages, visits each, and returns the status
// that ends them: 204, 404 for none, or a refusal, see [Stream.Refused]. The context
// bounds it.
func (s Stream) Direct(ctx context.Context, nc *nats.Conn, request any, visit func(Message) error) (end *nats.Msg, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("ask stream %s: %w", s.Name, err)
	}
	sub, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return nil, s.down(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the answer may be cut short; there is nothing to do about it
	// The request bounds the answer, so the client library need not bound it again.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, s.down(err)
	}
	if err := nc.PublishRequest(apiDirect+s.Name, sub.Subject, body); err != nil {
		return nil, s.down(err)
	}
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, s.down(err)
		}
		if status(answer) != "" {
			return answer, nil
		}
		m, err := OfDirect(answer)
		if err != nil {
			return nil, err
		}
		if err := visit(m); err != nil {
			return nil, err
		}
	}
}
