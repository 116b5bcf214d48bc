package mailbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// caller makes one request to NATS. Everything that this service does to a stream
// goes through one, apart from the relay, so a test can end the process before or
// after any of them.
type caller interface {
	Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error)
}

// conn is the caller that asks NATS.
type conn struct{ nc *nats.Conn }

// callTimeout bounds one request. One that went to a node that died is never
// answered.
const callTimeout = 3 * time.Second

func (c conn) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.nc.RequestMsgWithContext(ctx, m)
}

// JetStream's error codes that are answers to what was asked.
const (
	noMessage         = 10037 // no message found
	wrongLastSequence = 10071
	wrongLastSeqR3    = 10164 // the same, found out later
)

var (
	// errConflict: the document has been changed since it was read.
	errConflict = errors.New("somebody else changed the document")
	// errUnanswered: nobody knows whether it was stored.
	errUnanswered = errors.New("the outcome is not known")
)

// message is a stored message of any stream.
type message struct {
	Subject string
	Header  nats.Header
	Data    []byte
	Seq     uint64
	Time    time.Time
}

// stream reads and writes one stream, each call one request.
type stream struct {
	caller
	name string
}

// next is the first message at or above from that matches filter, and how many
// match behind it; ok is false when there is none. Any replica may answer: what it
// shows may be deleted since, and what was just stored may be missing; but it
// shows everything up to the last that it shows.
func (s stream) next(ctx context.Context, filter string, from uint64) (m message, behind int, ok bool, err error) {
	body := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q,"batch":1}`, max(from, 1), filter)
	answer, err := s.Request(ctx, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + s.name, Data: body})
	if err != nil {
		return m, 0, false, s.down(err)
	}
	switch answer.Header.Get("Status") {
	case "":
	case "404", "204":
		return m, 0, false, nil
	default:
		return m, 0, false, fault.New(fault.Unavailable, "%s answered %s", s.name, answer.Header.Get("Description"))
	}
	if m, err = direct(answer); err != nil {
		return m, 0, false, err
	}
	behind, err = strconv.Atoi(event.Last(answer.Header, "Nats-Num-Pending"))
	if err != nil {
		return m, 0, false, fmt.Errorf("read how many wait in %s: %w", s.name, err)
	}
	return m, behind, true, nil
}

// direct reads the position that the server appends to a direct answer.
func direct(answer *nats.Msg) (m message, err error) {
	m = message{Subject: event.Last(answer.Header, "Nats-Subject"), Header: answer.Header, Data: answer.Data}
	if m.Seq, err = strconv.ParseUint(event.Last(answer.Header, "Nats-Sequence"), 10, 64); err != nil {
		return m, fmt.Errorf("read a message's position: %w", err)
	}
	if m.Time, err = time.Parse(time.RFC3339Nano, event.Last(answer.Header, "Nats-Time-Stamp")); err != nil {
		return m, fmt.Errorf("read a message's time: %w", err)
	}
	return m, nil
}

// at is the leader's message at a sequence.
func (s stream) at(ctx context.Context, seq uint64) (message, bool, error) {
	return s.leader(ctx, fmt.Appendf(nil, `{"seq":%d}`, seq))
}

// last is the leader's newest message of a subject.
func (s stream) last(ctx context.Context, subj string) (message, bool, error) {
	return s.leader(ctx, fmt.Appendf(nil, `{"last_by_subj":%q}`, subj))
}

// after is the leader's first message at or above from that matches filter.
func (s stream) after(ctx context.Context, filter string, from uint64) (message, bool, error) {
	return s.leader(ctx, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, max(from, 1), filter))
}

func (s stream) leader(ctx context.Context, request []byte) (m message, ok bool, err error) {
	var reply struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	err = s.api(ctx, "STREAM.MSG.GET", request, &reply)
	var api *apiError
	if errors.As(err, &api) && api.Code == noMessage {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	m = message{Subject: reply.Message.Subject, Data: reply.Message.Data, Seq: reply.Message.Seq, Time: reply.Message.Time}
	if len(reply.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(reply.Message.Header); err != nil {
			return m, false, fmt.Errorf("read a message's headers: %w", err)
		}
	}
	return m, true, nil
}

// remove deletes a message, without overwriting its bytes, which takes 200 times
// as long. That it is not there is no error.
func (s stream) remove(ctx context.Context, seq uint64) error {
	err := s.api(ctx, "STREAM.MSG.DELETE", fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq), &struct{}{})
	var api *apiError
	if !errors.As(err, &api) {
		return err
	}
	if _, there, err := s.at(ctx, seq); err != nil || there {
		return errors.Join(api, err)
	}
	return nil
}

// erase deletes a message and overwrites its bytes on the disk.
func (s stream) erase(ctx context.Context, seq uint64) error {
	return s.api(ctx, "STREAM.MSG.DELETE", fmt.Appendf(nil, `{"seq":%d}`, seq), &struct{}{})
}

// purge deletes everything of a subject or pattern.
func (s stream) purge(ctx context.Context, filter string) error {
	return s.api(ctx, "STREAM.PURGE", fmt.Appendf(nil, `{"filter":%q}`, filter), &struct{}{})
}

// info is what the leader says of the stream; filter adds how many messages each
// matching subject has.
func (s stream) info(ctx context.Context, filter string) (i streamInfo, err error) {
	request := []byte(`{}`)
	if filter != "" {
		request = fmt.Appendf(nil, `{"subjects_filter":%q}`, filter)
	}
	return i, s.api(ctx, "STREAM.INFO", request, &i)
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
func (s stream) put(ctx context.Context, m *nats.Msg, expected int64) (seq uint64, err error) {
	seq, _, err = s.store(ctx, m, expected)
	return seq, err
}

// store is put; duplicate says that the stream had the message's id before.
func (s stream) store(ctx context.Context, m *nats.Msg, expected int64) (seq uint64, duplicate bool, err error) {
	if expected >= 0 {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header["Nats-Expected-Last-Subject-Sequence"] = []string{strconv.FormatInt(expected, 10)}
	}
	answer, err := s.Request(ctx, m)
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, false, s.down(err) // nobody listens: not stored
	}
	if err != nil {
		return 0, false, s.down(errors.Join(errUnanswered, err))
	}
	var ack struct {
		Seq       uint64    `json:"seq"`
		Duplicate bool      `json:"duplicate"`
		Error     *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, false, fmt.Errorf("read the answer of %s: %w", s.name, err)
	}
	switch {
	case ack.Error == nil:
		return ack.Seq, ack.Duplicate, nil
	case ack.Error.Code == wrongLastSequence, ack.Error.Code == wrongLastSeqR3:
		return 0, false, errors.Join(errConflict, ack.Error)
	}
	return 0, false, s.down(ack.Error)
}

// apiError is the error member of JetStream's answers.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// api makes one call of JetStream's API, which leaders answer.
func (s stream) api(ctx context.Context, what string, request []byte, reply any) error {
	answer, err := s.Request(ctx, &nats.Msg{Subject: "$JS.API." + what + "." + s.name, Data: request})
	if err != nil {
		return s.down(err)
	}
	if bytes.Contains(answer.Data, []byte(`"error":{`)) { // what else it could stand in is base64
		var failed struct {
			Error *apiError `json:"error"`
		}
		if err := json.Unmarshal(answer.Data, &failed); err == nil && failed.Error != nil {
			return s.down(failed.Error)
		}
	}
	if err := json.Unmarshal(answer.Data, reply); err != nil {
		return fmt.Errorf("read the answer of %s: %w", s.name, err)
	}
	return nil
}

func (s stream) down(err error) error {
	return fault.Wrap(fault.Unavailable, err, "%s does not answer; ask again", s.name)
}
