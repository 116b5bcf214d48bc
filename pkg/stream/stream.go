package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Caller makes one request to NATS. A test may stand between.
type Caller interface {
	Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error)
}

// Conn is the Caller that asks NATS.
type Conn struct {
	NC *nats.Conn
	// Within bounds one request: one that went to a node that died is never
	// answered. 0 = only its context does.
	Within time.Duration
}

// Request implements Caller.
func (c Conn) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	if c.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Within)
		defer cancel()
	}
	return c.NC.RequestMsgWithContext(ctx, m)
}

// Stream is one stream. Each method is one request, and safe for concurrent use. A
// filter is a subject, wildcards allowed.
type Stream struct {
	Caller
	Name string
	// Down makes the fault of an answer that did not come, or that was a refusal:
	// then err is a *jetstream.APIError. nil = [Down].
	Down func(name string, err error) error
}

// Behind is the fault of an answer by somebody who has not come as far as the asker
// knows the stream to be: a replica that lags, or a leader that has been deposed and does
// not know it yet. Asked again, another one answers, or the same one knows more.
func Behind(name string) error {
	return fault.New(fault.Unavailable, "whoever answers for stream %s is behind; it is asked again", name)
}

// Down is the fault of a stream that does not answer as it should.
func Down(name string, err error) error {
	refused, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return fault.Wrap(fault.Unavailable, err, "stream %s does not answer", name)
	case refused.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return fault.Wrap(fault.StreamLost, err, "stream %s is missing", name)
	}
	return fault.Wrap(fault.Unavailable, err, "stream %s cannot be read", name)
}

func (s Stream) down(err error) error {
	if s.Down == nil {
		return Down(s.Name, err)
	}
	return s.Down(s.Name, err)
}

// request is what both ways of reading a message take.
type request struct {
	Seq      uint64    `json:"seq,omitempty"`
	Since    time.Time `json:"start_time,omitzero"`
	Next     string    `json:"next_by_subj,omitempty"`
	Last     string    `json:"last_by_subj,omitempty"`
	Batch    int       `json:"batch,omitempty"`
	MaxBytes int       `json:"max_bytes,omitempty"`
}

// At is the leader's message at a sequence; ok is false when it has none.
func (s Stream) At(ctx context.Context, seq uint64) (m Message, ok bool, err error) {
	return s.leader(ctx, request{Seq: seq})
}

// Last is the leader's newest message that matches filter; ok is false when it has none.
func (s Stream) Last(ctx context.Context, filter string) (m Message, ok bool, err error) {
	return s.leader(ctx, request{Last: filter})
}

// First is the leader's first message at or above from that matches filter; ok is
// false when it has none.
func (s Stream) First(ctx context.Context, filter string, from uint64) (m Message, ok bool, err error) {
	return s.leader(ctx, request{Seq: max(from, 1), Next: filter})
}

// FirstSince is First by time: the server's clock ends in 2262.
func (s Stream) FirstSince(ctx context.Context, filter string, since time.Time) (m Message, ok bool, err error) {
	return s.leader(ctx, request{Since: since.UTC(), Next: filter})
}

func (s Stream) leader(ctx context.Context, r request) (m Message, ok bool, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return m, false, fmt.Errorf("ask stream %s: %w", s.Name, err)
	}
	var reply struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := s.Call(ctx, "STREAM.MSG.GET", body, &reply); err != nil {
		if refused, is := errors.AsType[*jetstream.APIError](err); is && refused.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return m, false, nil
		}
		return m, false, err
	}
	m = Message{Subject: reply.Message.Subject, Data: reply.Message.Data, Seq: reply.Message.Seq, Time: reply.Message.Time}
	if len(reply.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(reply.Message.Header); err != nil {
			return m, false, fmt.Errorf("read the header of message %d of %s: %w", m.Seq, s.Name, err)
		}
	}
	return m, true, nil
}

// Call makes one call of JetStream's API about the stream, such as "STREAM.INFO",
// and reads the leader's answer into reply. A refusal is a fault whose cause is a
// *jetstream.APIError.
func (s Stream) Call(ctx context.Context, api string, body []byte, reply any) error {
	answer, err := s.Request(ctx, &nats.Msg{Subject: "$JS.API." + api + "." + s.Name, Data: body})
	if err != nil {
		return s.down(err)
	}
	if bytes.Contains(answer.Data, []byte(`"error":{`)) { // what else it could stand in is base64
		var failed struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(answer.Data, &failed); err == nil && failed.Error != nil {
			return s.down(failed.Error)
		}
	}
	if err := json.Unmarshal(answer.Data, reply); err != nil {
		return fmt.Errorf("read the answer of stream %s: %w", s.Name, err)
	}
	return nil
}
