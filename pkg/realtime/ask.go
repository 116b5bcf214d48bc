package realtime

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	// gatherFor is how long after sending answers are waited for, once there is
	// one: the slowest gateway must not hold everybody up.
	gatherFor = 100 * time.Millisecond
	// answerWithin is how long the first may take.
	answerWithin = 2 * time.Second
)

// ask sends m as a request and gathers answers until all that are expected have
// come, or enough says so, or time is up. Nobody there is no error: the server
// says so at once, and the reach is complete.
func ask(ctx context.Context, nc *nats.Conn, m *nats.Msg, expect int, enough func(Reach) bool) (Reach, error) {
	if limit := nc.MaxPayload(); limit > 0 && int64(m.Size()-len(m.Subject)) > limit {
		return Reach{}, fault.New(fault.EventTooLarge, "the event has %d bytes, the NATS server takes %d", m.Size(), limit)
	}
	m.Reply = nc.NewInbox()
	sub, err := nc.SubscribeSync(m.Reply)
	if err != nil {
		return Reach{}, noAnswer(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with a connection that is closed
	if err := nc.PublishMsg(m); err != nil {
		return Reach{}, noAnswer(err)
	}
	first, stopFirst := context.WithTimeout(ctx, answerWithin)
	defer stopFirst()
	more, stopMore := context.WithTimeout(ctx, gatherFor)
	defer stopMore()
	g := gathering{expect: expect}
	for {
		wait := first
		if g.reach.Gateways > 0 {
			wait = more
		}
		m, err := sub.NextMsgWithContext(wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return Reach{Complete: true}, nil
		case err != nil && g.reach.Gateways > 0:
			return g.reach, nil
		case err != nil:
			return Reach{}, noAnswer(err)
		}
		a, err := ParseAnswer(m.Data)
		if err != nil {
			continue // somebody else listens there; it is not counted
		}
		if g.add(a); g.reach.Complete || enough(g.reach) {
			return g.reach, nil
		}
	}
}

func noAnswer(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the gateways did not answer")
}
