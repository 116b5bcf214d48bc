package auth

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// nonceTimeout bounds the wait for the store; a caller signs anew and tries again.
const nonceTimeout = 5 * time.Second

// Nonces remember which signed requests were taken, for every replica of every
// service, in the bucket belfry_nonces.
//
// A nonce is taken by a write that expects its subject to be empty. The leader
// of the stream alone decides that, one write after the other, counting those
// that are still on their way to the other copies; it acknowledges what a
// majority has stored. A leader that was cut off reaches no majority, so it
// acknowledges nothing, and a new one has everything that was ever acknowledged
// before it decides anything. Two acknowledgements for one nonce cannot be. A
// write without an answer may have been stored: the request is refused as
// unavailable, and the same one again as replayed.
type Nonces struct{ js jetstream.JetStream }

// NewNonces uses the bucket, which must exist when a request comes.
func NewNonces(js jetstream.JetStream) *Nonces { return &Nonces{js} }

// take remembers a nonce of a key for as long. Codes nonce_replayed, unavailable.
func (n *Nonces) take(ctx context.Context, key, nonce string, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, nonceTimeout)
	defer cancel()
	_, err := n.js.PublishMsg(ctx, &nats.Msg{Subject: subject.Key(topology.Nonces, key+"."+nonce)},
		jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithMsgTTL(keep.Round(time.Second)))
	switch {
	case err == nil:
		return nil
	case taken(err):
		return fault.New(fault.NonceReplayed, "signature: this request came before; each is signed anew, with a nonce of its own")
	}
	return fault.Wrap(fault.Unavailable, err, "signature: whether this request came before cannot be known now; sign it anew and try again")
}
