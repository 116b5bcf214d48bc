package topology

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// openMemory ensures the bucket that remembers which streams have existed. It
// cannot remember itself: when it is gone, it is filled again from what is
// there.
func (e *ensurer) openMemory(ctx context.Context) error {
	c := bucket(jetstream.KeyValueConfig{
		Bucket:      memory,
		Description: "which streams have existed, and their epochs",
		Replicas:    e.o.Replicas,
	})
	if _, err := e.stream(ctx, c, nil); err != nil {
		return err
	}
	return e.try(ctx, "open bucket "+memory, func(ctx context.Context) (err error) {
		e.kept, err = e.js.KeyValue(ctx, memory)
		return err
	})
}

// remembered is the epoch a stream had when it was last seen, "" if it never was.
func (e *ensurer) remembered(ctx context.Context, stream string) (epoch string, err error) {
	err = e.try(ctx, "read the memory of stream "+stream, func(ctx context.Context) error {
		entry, err := e.kept.Get(ctx, stream)
		if err == nil {
			epoch = string(entry.Value())
		}
		return err
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	return epoch, err
}

func (e *ensurer) remember(ctx context.Context, stream, epoch string) error {
	return e.try(ctx, "remember stream "+stream, func(ctx context.Context) error {
		_, err := e.kept.PutString(ctx, stream, epoch)
		return err
	})
}
