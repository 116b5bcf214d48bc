package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Where a tenant hears that an operation of its own was refused: over NATS the
// reporter had only the queue's confirmation.
const (
	refusedTopic = "operations"
	refusedVerb  = "refused"
	ownSource    = "/objectevent"
)

// refusedOperation is the data of operations.refused.
type refusedOperation struct {
	ID        string `json:"id"`
	Operation string `json:"op"`
	Topic     string `json:"topic"`
	Object    string `json:"object"`
	Code      string `json:"code"`
	Message   string `json:"message"`
}

// refuse writes the dead letter, with the operation as it came and the reason, and
// raises operations.refused in its place. One that was accepted before is not
// refused now: it is late, not wrong.
func (w *worker) refuse(ctx context.Context, m relay.Message, o *operation, h *hand, cause error) (relay.Effects, error) {
	why := fault.From(cause)
	if o.ID != "" && why.Code() != fault.InvalidOperation {
		if dup, err := w.known(ctx, o); err != nil || dup {
			return w.duplicate(h, err)
		}
	}
	l := bus.Letter{
		Consumer: w.name, Stream: Operations, At: m.At, Subject: m.Subject, Header: m.Header, Data: m.Data,
		Stored: m.Stored, Attempts: 1, Reason: cause,
	}
	err := w.bus.DeadLetter(ctx, l)
	if fault.CodeOf(err) == fault.EventTooLarge {
		l.Data = nil
		err = w.bus.DeadLetter(ctx, l)
	}
	if err != nil {
		return relay.Effects{}, fault.Wrap(fault.Unavailable, err, "the dead letter was not written")
	}
	h.outcome, h.why = outcomeRefused, string(why.Code())
	w.log.Warn("operation refused", telemetry.KeyEventID, o.ID, telemetry.KeySubject, m.Subject, telemetry.Err(cause))
	return w.tell(m, o, why)
}

// tell is the event that says so. A tenant that cannot be named is not told.
func (w *worker) tell(m relay.Message, o *operation, why *fault.Error) (relay.Effects, error) {
	if subject.CheckTenant(o.Tenant) != nil {
		return relay.Effects{}, nil
	}
	data, err := json.Marshal(refusedOperation{
		ID: o.ID, Operation: o.Verb, Topic: o.Topic, Object: o.Subject, Code: string(why.Code()), Message: why.Error(),
	})
	if err != nil {
		return relay.Effects{}, fmt.Errorf("write %s.%s: %w", refusedTopic, refusedVerb, err)
	}
	e := event.Event{
		ID: m.At.String(), Source: ownSource, Tenant: o.Tenant, Topic: refusedTopic, Verb: refusedVerb, Data: data,
		CorrelationID: o.CorrelationID,
	}
	e.Complete(m.Stored)
	msg, err := e.Msg()
	if err != nil {
		// Nothing of a stranger's is in it that could be at fault but the reference.
		e.CorrelationID = ""
		if msg, err = e.Msg(); err != nil {
			return relay.Effects{}, err
		}
	}
	return relay.Effects{Msgs: []*nats.Msg{msg}}, nil
}
