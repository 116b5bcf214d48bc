package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Options are what a process gives the scheduler.
type Options struct {
	Config Config
	Env    process.Env
}

// Service is the scheduler. Run as many as there are replicas: they share the
// work, and none of them leads.
type Service struct {
	config   Config
	bus      *bus.Bus
	log      *slog.Logger
	registry prometheus.Registerer
	metrics  *metrics
	store    *store
	history  *historian
	quotas   *quotas
	relay    atomic.Pointer[relay.Relay]
	maxEvent int
	ready    chan struct{}

	// What tests replace.
	now    func() time.Time
	notify notifier
	pace   pace
}

// pace is how often it is looked whether everything is still there.
type pace struct {
	pull   time.Duration // see bus.ConsumeOptions
	pinned time.Duration // see relay.Options
	steps  time.Duration // whether the machine's clock was set
	count  time.Duration // what is armed
}

var usualPace = pace{pull: 10 * time.Second, pinned: 5 * time.Second, steps: 10 * time.Second, count: 30 * time.Second}

// notifier sends a real-time event to the windows of a user, or with user "" to
// those of a whole tenant, and says how many there are. Code nobody_there when
// there is none; the event is made only if there is one.
type notifier func(ctx context.Context, tenant, user, code string, build func(context.Context) (event.Event, error)) (connections int, err error)

// historian writes and reads SCHEDULEHISTORY.
type historian struct {
	js      jetstream.JetStream
	store   *store
	metrics *metrics
	log     *slog.Logger
}

// New checks the configuration and mounts the API. Code invalid_config.
func New(o Options) (*Service, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	s := &Service{
		config: o.Config, bus: o.Env.Bus, log: o.Env.Log, registry: o.Env.Registry, metrics: newMetrics(o.Env.Registry),
		store: newStore(o.Env.Bus), maxEvent: o.Env.MaxEventBytes,
		ready: make(chan struct{}), now: time.Now, pace: usualPace,
	}
	s.history = &historian{js: s.bus.JS, store: s.store, metrics: s.metrics, log: s.log}
	s.quotas = newQuotas(s.store, o.Config.MaxPerTenant)
	s.notify = s.reach
	if err := s.mountAPI(o.Env.API); err != nil {
		return nil, fmt.Errorf("mount the scheduler's API: %w", err)
	}
	return s, nil
}

// Ready is closed once the clock is armed and due occurrences are taken.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Check is the scheduler's readiness.
func (s *Service) Check(ctx context.Context) error {
	select {
	case <-s.ready:
		return s.relay.Load().Check(ctx)
	default:
		return fault.New(fault.Starting, "the scheduler is starting")
	}
}

// Run arms the clock and takes what falls due until ctx ends; what is in hand then
// is finished.
func (s *Service) Run(ctx context.Context) error {
	if err := s.ensureClock(ctx, false); err != nil {
		return err
	}
	into, err := s.newRelay()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(f func(context.Context) error) {
		parts.Go(func() {
			if err := f(ctx); err != nil {
				cancel(err)
			}
		})
	}
	part(into.Run)
	part(func(ctx context.Context) error {
		return s.bus.Consume(ctx, s.liveOptions(clockDurable, subject.WayClock, clockAckWait, clockAtOnce), s.takeDue)
	})
	part(func(ctx context.Context) error {
		return s.bus.Consume(ctx, s.liveOptions(noticeDurable, subject.WayRealtime, noticeAckWait, s.config.NotifyAtOnce), s.takeDue)
	})
	parts.Go(func() { s.watchSteps(ctx) })
	parts.Go(func() { s.count(ctx) })
	select {
	case <-into.Ready():
		s.relay.Store(into)
		close(s.ready)
	case <-ctx.Done():
	}
	parts.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// clockAtOnce is how many of the clock's events are settled at once.
const clockAtOnce = 8

func (s *Service) count(ctx context.Context) {
	tick := time.NewTicker(s.pace.count)
	defer tick.Stop()
	for {
		n, err := s.store.count(ctx, subject.SchedulesArmed)
		if err == nil {
			s.metrics.armed.Set(float64(n))
		} else if ctx.Err() == nil {
			s.log.Debug("armed occurrences not counted", telemetry.Err(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
