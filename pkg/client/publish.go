package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Publish puts one event into the log and waits until it is kept. What e leaves
// out gets the defaults of event.Complete. While the server is away it is sent
// again, with the same id, until ctx ends or Options.GiveUp has passed.
//
// Codes: those of event.Validate, event_too_large (nothing was sent),
// unavailable (it may or may not be kept; publishing the same event again is
// safe).
func (c *Client) Publish(ctx context.Context, e event.Event) (Receipt, error) {
	a, err := c.send(ctx, e, true)
	if err != nil {
		return Receipt{}, err
	}
	return a.Wait(ctx)
}

// PublishAsync sends the event and returns at once; the Ack tells the outcome.
// It waits only while Options.MaxPending or MaxPendingBytes are reached, until
// ctx ends. What one goroutine publishes enters the log in that order, also over
// a reconnect; over an election in a cluster, what was on its way may come after
// what was published later. Who needs the order of two events even then waits
// for the first one's Ack. The event's Data must not be changed before it is
// acknowledged.
func (c *Client) PublishAsync(ctx context.Context, e event.Event) (*Ack, error) {
	return c.send(ctx, e, false)
}

// send publishes; awaited says that the caller gets the outcome itself, so that
// Flush need not tell it.
func (c *Client) send(ctx context.Context, e event.Event, awaited bool) (*Ack, error) {
	if e.Source == "" {
		e.Source = c.source
	}
	e.Complete(time.Now())
	m, err := e.Msg() // validates
	if err != nil {
		return nil, err
	}
	if trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, carrier(m.Header))
	}
	size := m.Size()
	if limit := c.nc.MaxPayload(); limit > 0 && int64(size-len(m.Subject)) > limit {
		return nil, tooLarge(nats.ErrMaxPayload, size, limit)
	}
	a := &Ack{id: e.ID, msg: m, size: size, awaited: awaited}
	return a, c.box.publish(ctx, a)
}

// Flush waits until everything published before has its outcome, or ctx ends.
// It returns the first failure of PublishAsync since the last Flush, whether or
// not somebody looked at that event's Ack.
func (c *Client) Flush(ctx context.Context) error {
	for _, a := range c.box.pending() {
		select {
		case <-a.Done():
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "not everything was acknowledged in time; it may still be kept")
		}
	}
	return c.box.failed()
}

// carrier writes trace headers as NATS wants them: keys exactly as they are.
type carrier nats.Header

func (h carrier) Get(key string) string { return nats.Header(h).Get(key) }
func (h carrier) Set(key, value string) { nats.Header(h).Set(key, value) }

// Keys is part of the carrier interface; injecting does not use it.
func (h carrier) Keys() []string {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	return keys
}
