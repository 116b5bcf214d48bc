package mailbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
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

// Service is one replica of the mailbox service. New wires it and mounts its
// routes; Run serves.
type Service struct {
	config   Config
	log      *slog.Logger
	nc       *nats.Conn
	bus      *bus.Bus
	stats    *metrics
	maxEvent int
	maxCopy  int // largest copy whose event is JSON
	replica  string

	copies, states, topics, events calls // MAILBOX, the two buckets, EVENTS
	reader                         *eventlog.Reader

	epoch    string // of MAILBOX; known once it runs
	logEpoch string // of EVENTS
	relay    *relay.Relay
	fanout   *fanout
	desks    *desks
	room     *room
	deletes  chan struct{}

	leaving chan struct{} // closed when those who wait must be answered
	ready   chan struct{}
}

// copyRoom is what a copy takes beside its event in one NATS message: subject,
// headers, and those of the relay's batch.
const copyRoom = 4 << 10

// New checks the configuration and mounts the routes. Code invalid_config.
func New(o Options) (*Service, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	call := ask(o.Env.Bus.NC)
	s := &Service{
		config: o.Config, log: o.Env.Log, nc: o.Env.Bus.NC, bus: o.Env.Bus, stats: newMetrics(o.Env.Registry),
		maxEvent: o.Env.MaxEventBytes, maxCopy: int(o.Env.Bus.NC.MaxPayload()) - copyRoom, replica: nuid.Next(),
		copies: callsTo(call, Stream), states: callsTo(call, stateStream), topics: callsTo(call, topicsStream),
		events: callsTo(call, topology.Events), reader: eventlog.NewReader(o.Env.Bus.NC),
		desks: newDesks(), room: newRoom(), deletes: make(chan struct{}, maxDeletes),
		leaving: make(chan struct{}), ready: make(chan struct{}),
	}
	s.fanout = newFanout(s)
	var err error
	if s.relay, err = relay.New(s.fanout.options(o)); err != nil {
		return nil, fmt.Errorf("make the mailbox relay: %w", err)
	}
	if err := s.mountAPI(o.Env.API); err != nil {
		return nil, fmt.Errorf("mount the mailbox API: %w", err)
	}
	return s, nil
}

// Ready is closed once the service answers: the relay can work, or take over.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Check is whether events are on their way into mailboxes, for /readyz.
func (s *Service) Check(ctx context.Context) error { return s.relay.Check(ctx) }

// Run serves until ctx ends. Then those who wait are answered that their time is
// up, before anything stops: they peek again at another replica.
func (s *Service) Run(ctx context.Context) error {
	info, err := s.copies.info(ctx, "")
	if err != nil {
		return err
	}
	state, err := s.reader.State(ctx)
	if err != nil {
		return err
	}
	s.epoch, s.logEpoch = info.Config.Metadata[topology.EpochKey], state.Epoch
	listening, err := s.nc.Subscribe(subject.MailboxWake, s.room.notice)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "listen for notices")
	}
	defer func() { _ = listening.Unsubscribe() }() // the connection goes next

	var background sync.WaitGroup
	defer background.Wait()
	failed := make(chan error, 1)
	background.Go(func() {
		if err := s.relay.Run(ctx); err != nil {
			failed <- err
		}
	})
	background.Go(func() { s.fanout.janitor(ctx) })
	background.Go(func() { s.sweep(ctx) })
	background.Go(func() { s.watch(ctx) })
	select {
	case <-s.relay.Ready():
		close(s.ready)
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	close(s.leaving)
	return nil
}

// watch wakes everybody who waits after the connection was away, because notices
// were lost then, and samples what the store holds.
func (s *Service) watch(ctx context.Context) {
	connection := s.nc.StatusChanged(nats.CONNECTED)
	defer s.nc.RemoveStatusListener(connection)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-connection:
			s.room.all()
		case <-tick.C:
			s.sample(ctx)
		case <-ctx.Done():
			return
		}
	}
}
