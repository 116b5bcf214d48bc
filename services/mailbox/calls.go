package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
)

// callTimeout bounds one request. One that went to a node that died is never
// answered.
const callTimeout = 3 * time.Second

// ask makes requests to NATS. Everything that this service does to a stream goes
// through one, apart from the relay and whole pages, so a test can end the process
// before or after any of them.
func ask(nc *nats.Conn) stream.Caller { return stream.Conn{NC: nc, Within: callTimeout} }

var (
	// errConflict: the document has been changed since it was read.
	errConflict = errors.New("somebody else changed the document")
	// errUnanswered: nobody knows whether it was stored.
	errUnanswered = errors.New("the outcome is not known")
)

type message = stream.Message

// calls reads and writes one stream, each call one request.
type calls struct{ stream.Stream }

func callsTo(c stream.Caller, name string) calls {
	return calls{stream.Stream{Caller: c, Name: name, Down: down}}
}

func down(name string, err error) error {
	return fault.Wrap(fault.Unavailable, err, "%s does not answer; ask again", name)
}

// info is what the leader says of the stream; filter adds how many messages each
// matching subject has.
func (s calls) info(ctx context.Context, filter string) (i streamInfo, err error) {
	request := []byte(`{}`)
	if filter != "" {
		request = fmt.Appendf(nil, `{"subjects_filter":%q}`, filter)
	}
	return i, s.Call(ctx, "STREAM.INFO", request, &i)
}

type streamInfo struct {
	Config struct {
		Metadata map[string]string `json:"metadata"`
	} `json:"config"`
	State struct {
		Messages uint64         `json:"messages"`
		Last     uint64         `json:"last_seq"`
		Subjects map[string]int `json:"subjects"`
	} `json:"state"`
}

// put stores a message; expected is the sequence that the last message of its
// subject must have, 0 for none yet, negative for any. Its errors are errConflict,
// and errUnanswered when it may or may not have been stored.
func (s calls) put(ctx context.Context, m *nats.Msg, expected int64) (seq uint64, err error) {
	seq, _, err = s.store(ctx, m, expected)
	return seq, err
}

// store is put; duplicate says that the stream had the message's id before.
func (s calls) store(ctx context.Context, m *nats.Msg, expected int64) (seq uint64, duplicate bool, err error) {
	if expected >= 0 {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header["Nats-Expected-Last-Subject-Sequence"] = []string{strconv.FormatInt(expected, 10)}
	}
	answer, err := s.Request(ctx, m)
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, false, down(s.Name, err) // nobody listens: not stored
	}
	if err != nil {
		return 0, false, down(s.Name, errors.Join(errUnanswered, err))
	}
	var ack struct {
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, false, fmt.Errorf("read the answer of %s: %w", s.Name, err)
	}
	switch {
	case ack.Error == nil:
		return ack.Seq, ack.Duplicate, nil
	case ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return 0, false, errors.Join(errConflict, ack.Error)
	}
	return 0, false, down(s.Name, ack.Error)
}
