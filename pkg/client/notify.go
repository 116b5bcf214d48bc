package client

import (
	"context"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Notify sends a real-time event to every window its recipient has open, and says
// how many there are. build is called only if somebody is there who wants the code;
// it leaves out type, tenant and recipient, which are known. Nothing is stored, and
// nothing is sent again: calling it twice notifies twice.
//
// Codes: nobody_there; those of the payload, such as invalid_event naming the field;
// unavailable when the gateways do not answer.
func (c *Client) Notify(ctx context.Context, to realtime.Recipient, code string, build func(context.Context) (event.Event, error)) (realtime.Reach, error) {
	return realtime.Notify(ctx, c.nc, to, code, func(ctx context.Context) (event.Event, error) {
		e, err := build(ctx)
		if err == nil && e.Source == "" {
			e.Source = c.source
		}
		return e, err
	})
}

// presenceQueue is how many changes wait for a loop that is busy; then the oldest
// are lost, as they are while the server is away.
const presenceQueue = 4096

// presenceFlush is how long the server may take to say that it has heard of us.
const presenceFlush = 10 * time.Second

// Presence yields who comes and goes in a tenant, "" = in all, from now on, until
// ctx ends or the loop is left. Who is there already, GET /v1/presence says: ask
// once the loop runs. An error is the last thing yielded: ctx's, or a fault
// (invalid_name; unavailable when the client is closed).
func (c *Client) Presence(ctx context.Context, tenant string) iter.Seq2[realtime.Presence, error] {
	return func(yield func(realtime.Presence, error) bool) {
		pattern := subject.Roots.Presence
		if tenant != "" {
			var err error
			if pattern, err = subject.TenantOf(pattern, tenant); err != nil {
				yield(realtime.Presence{}, err)
				return
			}
		}
		in := make(chan *nats.Msg, presenceQueue)
		sub, err := c.nc.ChanSubscribe(pattern, in)
		if err == nil {
			defer func() { _ = sub.Unsubscribe() }() // fails only with a connection that is closed
			err = c.nc.FlushTimeout(presenceFlush)
		}
		closed := c.nc.StatusChanged(nats.CLOSED)
		defer c.nc.RemoveStatusListener(closed)
		if err != nil {
			yield(realtime.Presence{}, unavailable(err))
			return
		}
		for {
			select {
			case m := <-in:
				p, err := realtime.ParsePresence(m)
				if err == nil && !yield(p, nil) { // what is no presence event is passed over
					return
				}
			case <-closed:
				yield(realtime.Presence{}, fault.New(fault.Unavailable, "the client is closed"))
				return
			case <-ctx.Done():
				yield(realtime.Presence{}, context.Cause(ctx))
				return
			}
		}
	}
}
