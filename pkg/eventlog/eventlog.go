package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/topology"
)

// callTimeout bounds one request to the server.
const callTimeout = 5 * time.Second

// Message is one stored message of EVENTS.
type Message = stream.Message

// Reader reads EVENTS over one NATS connection. It is safe for concurrent use.
type Reader struct {
	nc     *nats.Conn
	events stream.Stream
}

// NewReader makes a Reader; it asks nothing of the server yet.
func NewReader(nc *nats.Conn) *Reader {
	return &Reader{nc, stream.Stream{Caller: stream.Conn{NC: nc, Within: callTimeout}, Name: topology.Events, Down: down}}
}

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
	return r.events.Page(ctx, r.nc, filter, from, limit, maxBytes)
}

// Next is the leader's first message at or above from that matches filter; ok
// is false when the leader has none.
func (r *Reader) Next(ctx context.Context, filter string, from uint64) (m Message, ok bool, err error) {
	return r.events.First(ctx, filter, from)
}

// Last is the leader's newest message that matches filter; ok is false when
// the leader has none.
func (r *Reader) Last(ctx context.Context, filter string) (m Message, ok bool, err error) {
	return r.events.Last(ctx, filter)
}

func down(_ string, err error) error {
	if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
		return fault.Wrap(fault.Unavailable, err, "the log answered: %s", refused.Description)
	}
	return fault.Wrap(fault.Unavailable, err, "the log does not answer")
}
