package objectevent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Options are what a process gives the service.
type Options struct {
	Config Config
	Env    process.Env
}

// Service decides operations and asks hooks. New wires it and mounts its APIs; Run
// works. It is a run.Service and a run.Checker.
type Service struct {
	config   Config
	log      *slog.Logger
	bus      *bus.Bus
	js       jetstream.JetStream
	events   *eventlog.Reader
	limits   *api.Limits
	trace    trace.Tracer
	stats    *metrics
	maxEvent int

	trash  *trash
	sweep  *sweeper
	hooks  *hooks
	alerts *alerts
	relays *relay.Set // one for each partition of operations, and that of alerts
}

// New checks the configuration and mounts the APIs. Code invalid_config.
func New(o Options) (*Service, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	env := o.Env
	s := &Service{
		config: o.Config, log: env.Log, bus: env.Bus, js: env.Bus.JS, events: eventlog.NewReader(env.Bus.NC), limits: env.Limits,
		trace: env.Tracer, stats: newMetrics(env.Registry), maxEvent: env.MaxEventBytes,
		trash: &trash{nc: env.Bus.NC, js: env.Bus.JS}, sweep: newSweeper(env.Bus.NC),
	}
	var err error
	if s.hooks, err = newHooks(o.Config.Hooks, env); err != nil {
		return nil, err
	}
	if s.alerts, err = newAlerts(o.Config.Alerts, env); err != nil {
		return nil, err
	}
	s.relays, err = relay.NewSet(subject.Partitions+1, func(i int) relay.Options {
		if i == subject.Partitions {
			return s.alerts.options()
		}
		return s.relay(i, env)
	})
	if err != nil {
		return nil, err
	}
	s.alerts.relay = s.relays.Relays()[subject.Partitions]
	if err := env.API.Mount(s.service()); err != nil {
		return nil, fmt.Errorf("mount the operations' API: %w", err)
	}
	return s, nil
}

// relay is one partition: its operations in, its events out.
func (s *Service) relay(partition int, env process.Env) relay.Options {
	w := s.newWorker(partition)
	return relay.Options{
		Name: w.name, Bus: s.bus,
		Source: Operations, Filter: []string{subject.OperationsOf(partition)},
		Target: topology.Events,
		Map:    w.Map, Ahead: w.Ahead, AfterBatch: w.AfterBatch, Open: w.Open,
		Linger:   s.config.Linger,
		Registry: env.Registry, Log: s.log,
	}
}

// Ready closes once every partition, and the alerts' relay, work here or stand by.
func (s *Service) Ready() <-chan struct{} { return s.relays.Ready() }

// Run works until ctx ends, then stores what is under way and gives its place away.
func (s *Service) Run(ctx context.Context) error {
	defer s.hooks.stop()
	s.hooks.crew.start(s.hooks.resealAll)
	defer s.alerts.start(ctx)()
	var sweeping sync.WaitGroup
	defer sweeping.Wait()
	sweeping.Go(func() { s.sweep.run(ctx, s.notSwept) })
	return s.relays.Run(ctx)
}

// Check is the first trouble of any partition.
func (s *Service) Check(ctx context.Context) error { return s.relays.Check(ctx) }
