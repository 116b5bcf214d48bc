package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Report is what Ensure found and did, for logs and `belfry doctor`.
type Report struct {
	Created []string
}

// Ensure creates what is missing.
func Ensure(ctx context.Context, js jetstream.JetStream, s Spec, o Options) (Report, error) {
	var r Report
	for _, c := range s.Streams {
		_, err := js.Stream(ctx, c.Name)
		if err == nil {
			continue
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return r, fmt.Errorf("look up stream %s: %w", c.Name, err)
		}
		c.Metadata = maps.Clone(c.Metadata)
		if c.Metadata == nil {
			c.Metadata = map[string]string{}
		}
		c.Metadata[EpochKey], c.Metadata[VersionKey] = NewEpoch(), strconv.Itoa(Version)
		if _, err := js.CreateStream(ctx, c); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return r, fmt.Errorf("create stream %s: %w", c.Name, err)
		}
		r.Created = append(r.Created, c.Name)
	}
	for _, c := range s.Consumers {
		if _, err := js.CreateOrUpdateConsumer(ctx, c.Stream, c.Config); err != nil {
			return r, fmt.Errorf("create consumer %s of %s: %w", c.Config.Durable, c.Stream, err)
		}
	}
	for _, b := range s.Buckets {
		if _, err := js.CreateOrUpdateKeyValue(ctx, b); err != nil {
			return r, fmt.Errorf("create bucket %s: %w", b.Bucket, err)
		}
	}
	return r, nil
}
