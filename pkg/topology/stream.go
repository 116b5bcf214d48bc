package topology

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

// rememberedStream ensures a stream and remembers it, so that its loss is
// noticed. Streams in memory are lost with every restart; that is their nature.
func (e *ensurer) rememberedStream(ctx context.Context, want jetstream.StreamConfig) error {
	if want.Storage == jetstream.MemoryStorage {
		_, err := e.stream(ctx, want, nil)
		return err
	}
	known, err := e.remembered(ctx, want.Name)
	if err != nil {
		return err
	}
	epoch, err := e.stream(ctx, want, func() error {
		if known == "" || e.o.RecreateLost {
			return nil
		}
		return fault.New(fault.StreamLost, "stream %s existed and is missing: restore it, or start with --recreate-lost to go on without its data", want.Name).
			With("stream", want.Name).With("epoch", known)
	})
	if err != nil {
		return err
	}
	e.report.Epochs[want.Name] = epoch
	if epoch == known {
		return nil
	}
	return e.remember(ctx, want.Name, epoch)
}

// stream ensures one stream and gives its epoch. mayCreate is asked when it is
// missing; nil means yes.
func (e *ensurer) stream(ctx context.Context, want jetstream.StreamConfig, mayCreate func() error) (epoch string, err error) {
	have, err := e.lookUp(ctx, want.Name)
	if err != nil {
		return "", err
	}
	if have == nil {
		if mayCreate != nil {
			if err := mayCreate(); err != nil {
				return "", err
			}
		}
		if have, err = e.create(ctx, want); err != nil {
			return "", err
		}
	}
	if version(have.Metadata) > Version {
		e.newer(*have)
		return have.Metadata[EpochKey], nil
	}
	return e.update(ctx, *have, want)
}

// lookUp is the stream's configuration, nil when there is no such stream.
func (e *ensurer) lookUp(ctx context.Context, name string) (have *jetstream.StreamConfig, err error) {
	err = e.try(ctx, "look up stream "+name, func(ctx context.Context) error {
		s, err := e.js.Stream(ctx, name)
		if err == nil {
			have = &s.CachedInfo().Config
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	return have, err
}

// create makes a stream with a new epoch. When another process was faster, its
// stream is the answer: JetStream decides, and one epoch wins.
func (e *ensurer) create(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamConfig, error) {
	want.Metadata = withServers(want.Metadata, nil)
	want.Metadata[EpochKey], want.Metadata[VersionKey] = NewEpoch(), strconv.Itoa(Version)
	var have *jetstream.StreamConfig
	err := e.try(ctx, "create stream "+want.Name, func(ctx context.Context) error {
		s, err := e.js.CreateStream(ctx, want)
		if err == nil {
			have = &s.CachedInfo().Config
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return e.await(ctx, want.Name)
	}
	if err != nil {
		return nil, err
	}
	e.created(want.Name)
	return have, nil
}

// await is the configuration of a stream that another process is making: in a
// cluster its name is taken before it can be seen.
func (e *ensurer) await(ctx context.Context, name string) (have *jetstream.StreamConfig, err error) {
	err = e.try(ctx, "wait for stream "+name, func(ctx context.Context) error {
		s, err := e.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return jetstream.ErrNoStreamResponse
		}
		if err == nil {
			have = &s.CachedInfo().Config
		}
		return err
	})
	return have, err
}

// update brings an existing stream to what is wanted, as far as JetStream lets
// it, and gives its epoch. A stream without an epoch gets one.
func (e *ensurer) update(ctx context.Context, have, want jetstream.StreamConfig) (epoch string, err error) {
	if epoch = have.Metadata[EpochKey]; epoch == "" {
		epoch = NewEpoch()
	}
	want.Metadata = withServers(want.Metadata, have.Metadata)
	want.Metadata[EpochKey], want.Metadata[VersionKey] = epoch, strconv.Itoa(Version)

	merged, changed, fixed, err := merge(have, asStored(want), fixedForStreams)
	if err != nil {
		return "", err
	}
	e.drifted(have.Name, fixed)
	if len(changed) == 0 {
		return epoch, nil
	}
	if err := e.try(ctx, "update stream "+have.Name, func(ctx context.Context) error {
		_, err := e.js.UpdateStream(ctx, merged)
		return err
	}); err != nil {
		return "", err
	}
	e.updated(have.Name, changed)
	return epoch, nil
}
