package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/subject"
)

// hubPeers tells gateways of each other's connections of the hub, those whose
// client will come back with another request: each listens on a subject of its own,
// so that NATS itself knows who has it, and answers at once that nobody does.
type hubPeers struct {
	nc *nats.Conn
	id string         // of this gateway
	in chan *nats.Msg // all questions, so that a connection costs no goroutine
}

// run answers others.
func (p hubPeers) run(ctx context.Context) {
	for {
		select {
		case m := <-p.in:
			_ = m.Respond([]byte(p.id)) // who asks gives up soon
		case <-ctx.Done():
			return
		}
	}
}

// Claim implements signalr.Peers.
func (p hubPeers) Claim(id string) (release func(), err error) {
	sub, err := p.nc.ChanSubscribe(subject.HubConnection(id), p.in)
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails only with a connection that is closed
}

// ownerWait is how long a gateway that has the connection may take to say so.
const ownerWait = time.Second

// Owner implements signalr.Peers.
func (p hubPeers) Owner(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ownerWait)
	defer cancel()
	m, err := p.nc.RequestWithContext(ctx, subject.HubConnection(id), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return "", nil
	case err != nil:
		return "", err
	case string(m.Data) == p.id: // it has come here meanwhile
		return "", nil
	}
	return string(m.Data), nil
}
