package realtime

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// address fills in whom the event is for and what it is, and refuses one that
// says otherwise.
func address(e *event.Event, to Recipient, code string) error {
	for _, part := range []struct {
		name  string
		has   *string
		wants string
	}{{"type", &e.Type, code}, {"tenant", &e.Tenant, to.Tenant}, {"recipient", &e.Recipient, to.User}} {
		if *part.has != "" && *part.has != part.wants {
			return fault.Field(fault.InvalidEvent, part.name, "%.64q is not %.64q, as it is sent", *part.has, part.wants)
		}
		*part.has = part.wants
	}
	return nil
}

// message is the event on its way, checked.
func message(ctx context.Context, to Recipient, e event.Event) (*nats.Msg, error) {
	code, err := Code(e.Type)
	if err != nil {
		return nil, err
	}
	e.Type = code
	if err := address(&e, to, code); err != nil {
		return nil, err
	}
	if err := Check(code, e.Data); err != nil {
		return nil, err
	}
	subj, err := to.Subject()
	if err != nil {
		return nil, err
	}
	e.Complete(time.Now())
	m, err := e.UnstoredMsg(subj)
	if err == nil && trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, carrier(m.Header))
	}
	return m, err
}

// carrier lets a trace travel in the headers of a message, which are case
// sensitive.
type carrier nats.Header

func (h carrier) Get(key string) string { return nats.Header(h).Get(key) }
func (h carrier) Set(key, value string) { nats.Header(h).Set(key, value) }

// Keys is part of the carrier interface; injecting does not use it.
func (h carrier) Keys() []string { return nil }
