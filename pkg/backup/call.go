package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// answerWithin bounds a call whose answer needs the server to read a whole stream:
// before a snapshot it checks every message, after a restore it opens the store.
const answerWithin = 10 * time.Minute

// stalledAfter is how long the next piece of a stream may take. The server gives up
// after 5 seconds of silence on its side.
const stalledAfter = 30 * time.Second

// call is one request to JetStream, answered by a leader.
func (o Options) call(ctx context.Context, subj string, request, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	m, err := o.NC.RequestWithContext(ctx, subj, body)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s is not answered", subj)
	}
	return answer(m.Data, reply)
}

// answer reads what JetStream answered: its refusal, or reply.
func answer(data []byte, reply any) error {
	var failed struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := errors.Join(json.Unmarshal(data, &failed), json.Unmarshal(data, reply)); err != nil {
		return fmt.Errorf("read an answer of JetStream: %w", err)
	}
	if failed.Error != nil {
		return fault.Wrap(fault.Unavailable, failed.Error, "JetStream refuses: %s", failed.Error.Description)
	}
	return nil
}

// lastControl is the sequence of the newest record of EVENTS that is not an event.
func (o Options) lastControl(ctx context.Context) (uint64, error) {
	events := stream.Stream{Caller: stream.Conn{NC: o.NC, Within: answerWithin}, Name: topology.Events}
	m, _, err := events.Last(ctx, subject.Control)
	return m.Seq, err
}

func api(what, stream string) string { return "$JS.API." + what + stream }
