package topology

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// consumer ensures one durable. A newer version's consumers are left alone as
// its streams are, but a missing one is still made: it is ours by its name.
func (e *ensurer) consumer(ctx context.Context, c Consumer) error {
	name := c.Config.Durable
	if name == "" {
		name = c.Config.Name
	}
	full := c.Stream + "/" + name
	var have *jetstream.ConsumerConfig
	err := e.try(ctx, "look up consumer "+full, func(ctx context.Context) error {
		consumer, err := e.js.Consumer(ctx, c.Stream, name)
		if err == nil {
			have = &consumer.CachedInfo().Config
		}
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return e.createConsumer(ctx, full, c)
	case err != nil:
		return err
	case e.left(c.Stream):
		return nil
	}
	return e.updateConsumer(ctx, full, c.Stream, *have, c.Config)
}

func (e *ensurer) createConsumer(ctx context.Context, full string, c Consumer) error {
	if err := e.try(ctx, "create consumer "+full, func(ctx context.Context) error {
		_, err := e.js.CreateOrUpdateConsumer(ctx, c.Stream, c.Config)
		return err
	}); err != nil {
		return err
	}
	e.created(full)
	return nil
}

// updateConsumer sends what is wanted, with the fixed settings as they are, and
// compares before and after: the server fills in too many defaults to guess.
func (e *ensurer) updateConsumer(ctx context.Context, full, stream string, have, want jetstream.ConsumerConfig) error {
	want.Metadata = withServers(want.Metadata, have.Metadata)
	merged, _, fixed, err := merge(have, want, slices.Concat(onlyAtCreation, fixedForConsumers))
	if err != nil {
		return err
	}
	var now jetstream.ConsumerConfig
	if err := e.try(ctx, "update consumer "+full, func(ctx context.Context) error {
		consumer, err := e.js.CreateOrUpdateConsumer(ctx, stream, merged)
		if err == nil {
			now = consumer.CachedInfo().Config
		}
		return err
	}); err != nil {
		return err
	}
	_, changed, _, err := merge(have, now, nil)
	if err != nil {
		return err
	}
	e.updated(full, changed)
	e.drifted(full, meant(fixed, want))
	return nil
}

// meant leaves of the fixed settings that differ those that were asked for: a
// setting left at zero asks for the server's default.
func meant(fixed []string, want jetstream.ConsumerConfig) (fields []string) {
	asked, err := asMap(want)
	if err != nil {
		return fixed
	}
	for _, f := range fixed {
		if f == "max_waiting" && asked[f] == nil {
			continue
		}
		if !slices.Contains(onlyAtCreation, f) {
			fields = append(fields, f)
		}
	}
	return fields
}
