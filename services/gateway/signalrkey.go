package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// KeysBucket is where gateways keep the keys they share.
const KeysBucket = "belfry_keys"

// Topology is what the gateway keeps in JetStream, for process.Part.
func Topology(o topology.Options) topology.Spec {
	return topology.Spec{Buckets: []jetstream.KeyValueConfig{{
		Bucket:      KeysBucket,
		Description: "keys that gateways share: signalr seals connection tokens",
		Storage:     jetstream.FileStorage, Replicas: max(o.Replicas, 1),
	}}}
}

// sealKey is the key's name in the bucket.
const sealKey = "signalr"

// sharedKey reads the key that seals connection tokens, and makes it if nobody has:
// of several who do so at once one is first, and its key counts. It is a key of its
// own, because the secrets that tokens of callers are checked with are not always
// ours to know (JWKS), nor meant for anything else. A lost one is made anew at the
// next start, and costs whoever was between negotiate and connect a second try.
func sharedKey(ctx context.Context, js jetstream.JetStream) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	bucket, err := js.KeyValue(ctx, KeysBucket)
	if err != nil {
		return nil, noKey(err)
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	_, err = bucket.Create(ctx, sealKey, fresh)
	if err == nil {
		return fresh, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return nil, noKey(err)
	}
	entry, err := bucket.Get(ctx, sealKey)
	if err != nil {
		return nil, noKey(err)
	}
	return entry.Value(), nil
}

func noKey(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the bucket %s does not answer", KeysBucket)
}
