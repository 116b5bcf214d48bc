package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

// measureStart times start to ready and an idle stop, with an empty store.
func measureStart(ctx context.Context, p plan) ([]figure, error) {
	var ours, reference struct{ ready, stop []time.Duration }
	for range p.rounds {
		run, err := startBelfry(ctx, p)
		if err != nil {
			return nil, err
		}
		stopped, err := run.stop()
		if err != nil {
			return nil, err
		}
		ours.ready, ours.stop = append(ours.ready, run.ready), append(ours.stop, stopped)

		raw, err := startSelf(ctx, "-serve", "start")
		if err != nil {
			return nil, err
		}
		if stopped, err = raw.stop(); err != nil {
			return nil, err
		}
		reference.ready, reference.stop = append(reference.ready, raw.ready), append(reference.stop, stopped)
	}
	return []figure{
		durations("start to ready, empty store", ours.ready, reference.ready),
		durations("stop, idle", ours.stop, reference.stop),
	}, nil
}

func durations(name string, ours, reference []time.Duration) figure {
	a, b := median(ours), median(reference)
	return figure{name, a.Round(10 * time.Microsecond).String(), b.Round(10 * time.Microsecond).String(), fmt.Sprintf("%.2f", float64(a)/float64(b)), ""}
}

func median[T int | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// serveStart is the least that starts like Belfry: an embedded NATS server with
// the platform's streams.
func serveStart(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "belfry-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	log := slog.New(slog.DiscardHandler)
	server, err := embed.Start(ctx, embed.Options{DataDir: dir, Port: -1, Log: log})
	if err != nil {
		return err
	}
	b, err := bus.Connect(ctx, bus.Options{
		Config: bus.Config{User: embed.ServiceUser, Password: server.ServicePassword()}, InProcess: server.InProcess(), Log: log,
	})
	if err != nil {
		return err
	}
	if _, err := topology.Ensure(ctx, b.JS, topology.Platform(topology.Options{}), topology.Options{}); err != nil {
		return err
	}
	fmt.Println("ready")
	<-terminated(ctx)
	if err := b.Close(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return server.Stop(context.WithoutCancel(ctx))
}
