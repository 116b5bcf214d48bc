package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	apiDirect = "$JS.API.DIRECT.GET." + topology.Events
	apiLeader = "$JS.API.STREAM.MSG.GET." + topology.Events

	// callTimeout bounds one request to the server.
	callTimeout = 5 * time.Second

	noMessage = 10037 // JetStream's error code for "no message found"
)

// Message is one stored message of EVENTS.
type Message struct {
	Subject string
	Header  nats.Header // what the publisher sent; for a page, also the server's Nats-… headers
	Data    []byte
	Seq     uint64
	Time    time.Time // when it was stored
}

// Reader reads EVENTS over one NATS connection. It is safe for concurrent use.
type Reader struct {
	nc *nats.Conn
}

// NewReader makes a Reader; it asks nothing of the server yet.
func NewReader(nc *nats.Conn) *Reader { return &Reader{nc: nc} }

// State asks the stream's leader; see topology.EventsState.
func (r *Reader) State(ctx context.Context) (topology.Log, error) {
	return topology.EventsState(ctx, r.nc)
}

// Page reads the messages that match filter (a subject, wildcards allowed) from
// sequence from upwards: at most limit of them, and few more than maxBytes. end
// is true when the replica that answered had no more.
func (r *Reader) Page(ctx context.Context, filter string, from uint64, limit, maxBytes int) (msgs []Message, end bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]any{"seq": max(from, 1), "next_by_subj": filter, "batch": limit, "max_bytes": maxBytes})
	if err != nil {
		return nil, false, fmt.Errorf("build a page request: %w", err)
	}
	inbox := r.nc.NewRespInbox()
	sub, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, down(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the reply may be cut short; there is nothing to do about it
	// The page is bounded by maxBytes, so the client need not bound it again.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, false, down(err)
	}
	if err := r.nc.PublishRequest(apiDirect, inbox, request); err != nil {
		return nil, false, down(err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, down(err)
		}
		switch m.Header.Get("Status") {
		case "":
		case "204": // end of this page: pending says whether the replica had more
			pending, err := strconv.ParseUint(event.Last(m.Header, "Nats-Num-Pending"), 10, 64)
			return msgs, err == nil && pending == 0, nil
		case "404":
			return msgs, true, nil
		default:
			return nil, false, fault.New(fault.Unavailable, "the log answered %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
		}
		msg, err := ofDirect(m)
		if err != nil {
			return nil, false, err
		}
		msgs = append(msgs, msg)
	}
}

// ofDirect reads the position that the server appended to a direct-get answer.
func ofDirect(m *nats.Msg) (Message, error) {
	seq, err := strconv.ParseUint(event.Last(m.Header, "Nats-Sequence"), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("read a page: sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, event.Last(m.Header, "Nats-Time-Stamp"))
	if err != nil {
		return Message{}, fmt.Errorf("read a page: time: %w", err)
	}
	return Message{event.Last(m.Header, "Nats-Subject"), m.Header, m.Data, seq, at}, nil
}

// Next is the leader's first message at or above from that matches filter; ok
// is false when the leader has none.
func (r *Reader) Next(ctx context.Context, filter string, from uint64) (m Message, ok bool, err error) {
	return r.leader(ctx, map[string]any{"seq": max(from, 1), "next_by_subj": filter})
}

// Last is the leader's newest message that matches filter; ok is false when
// the leader has none.
func (r *Reader) Last(ctx context.Context, filter string) (m Message, ok bool, err error) {
	return r.leader(ctx, map[string]any{"last_by_subj": filter})
}

func (r *Reader) leader(ctx context.Context, request map[string]any) (m Message, ok bool, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return m, false, fmt.Errorf("build a message request: %w", err)
	}
	var reply struct {
		apiError
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	err = r.call(ctx, apiLeader, body, &reply)
	var api *apiError
	if errors.As(err, &api) && api.Err.Code == noMessage {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read a message from the leader: %w", err)
	}
	m = Message{Subject: reply.Message.Subject, Data: reply.Message.Data, Seq: reply.Message.Seq, Time: reply.Message.Time}
	if len(reply.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(reply.Message.Header); err != nil {
			return m, false, fmt.Errorf("read a message's headers: %w", err)
		}
	}
	return m, true, nil
}

// apiError is the error member that every JetStream answer may have.
type apiError struct {
	Err *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

func (e *apiError) Error() string     { return e.Err.Description }
func (e *apiError) failed() *apiError { return e }

// call makes one request and reads the JSON answer into reply.
func (r *Reader) call(ctx context.Context, api string, body []byte, reply interface{ failed() *apiError }) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := r.nc.RequestWithContext(ctx, api, body)
	if err != nil {
		return down(err)
	}
	if err := json.Unmarshal(m.Data, reply); err != nil {
		return fmt.Errorf("read the answer of %s: %w", api, err)
	}
	if e := reply.failed(); e.Err != nil {
		return fault.Wrap(fault.Unavailable, e, "the log answered: %s", e.Err.Description)
	}
	return nil
}

func down(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the log does not answer")
}
