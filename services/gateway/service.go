package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
	"github.com/belfry-events/belfry/services/gateway/signalr"
)

// Options are what a process gives the gateway.
type Options struct {
	Config Config
	Env    process.Env
}

// Service is the gateway. New wires it and mounts its routes; Run serves.
type Service struct {
	config    Config
	out       *slog.Logger
	js        jetstream.JetStream
	guard     *auth.Guard
	limits    *api.Limits
	audit     *api.AuditLog
	trace     trace.Tracer
	stats     *metrics
	maxEvent  int
	nc        *nats.Conn
	tokenLife time.Duration // the longest
	drainEach time.Duration // see drain.go

	hub     *hub
	writers *writers
	log     *logReads
	feed    *feed
	wheel   *wheel

	signals  *signals
	crowd    *crowd
	who      *roster.Roster
	interest *interest

	signalr *signalr.Server
	peers   hubPeers

	life    context.Context // ends when connections must
	end     context.CancelFunc
	ready   chan struct{}
	serving atomic.Bool
}

// New checks the configuration and mounts the routes, which answer "starting"
// until Run is ready. Code invalid_config.
func New(o Options) (*Service, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	s := &Service{
		config: o.Config, out: o.Env.Log, js: o.Env.Bus.JS, guard: o.Env.Guard, limits: o.Env.Limits, audit: o.Env.Audit, trace: o.Env.Tracer,
		stats: newMetrics(o.Env.Registry), maxEvent: o.Env.MaxEventBytes, nc: o.Env.Bus.NC, tokenLife: o.Env.TokenLife, drainEach: defaultDrainEach,
		hub: newHub(o.Config), wheel: newWheel(o.Config.PingEvery), writers: newWriters(),
		ready: make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.log = newLogReads(o.Env.Bus.NC, o.Config.LogReads, func() string { return *s.feed.epoch.Load() }, s.stats)
	s.stats.queues(s.hub.waiting)
	s.feed = &feed{
		hub: s.hub, log: s.log, nc: o.Env.Bus.NC, out: s.out, stats: s.stats, trace: s.trace, every: o.Config.CheckEvery,
		live: make(chan *nats.Msg, feedBacklog), signals: make(chan *nats.Msg, signalBacklog), found: make(chan finding), renewed: make(chan topology.Log),
		outgoing: outgoing{writers: s.writers},
	}
	s.assemble()
	s.signalr = s.newSignalR()
	s.mount(o.Env.Mux)
	if err := s.mountAPI(o.Env.API); err != nil {
		return nil, fmt.Errorf("mount the gateway's API: %w", err)
	}
	return s, nil
}

// Ready closes once the gateway serves.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, then says goodbye to every connection and returns.
func (s *Service) Run(ctx context.Context) error {
	state, err := s.log.State(ctx)
	if err != nil {
		return err
	}
	s.feed.epoch.Store(&state.Epoch)
	key, err := sharedKey(ctx, s.js)
	if err != nil {
		return err
	}

	stopFarewells, err := s.sayFarewells()
	if err != nil {
		return err
	}
	defer stopFarewells()

	// The feed outlives ctx: what is under way still reaches those who are told
	// goodbye.
	var background sync.WaitGroup
	background.Go(func() { s.feed.run(s.life) })
	for range s.writers.count {
		background.Go(func() { s.writers.run(s.life) })
	}
	background.Go(func() { s.feed.watch(s.life) })
	background.Go(func() { s.turnWheel(s.life) })
	background.Go(func() { s.closeRevoked(s.life) })
	background.Go(func() { s.signals.run(s.life) })
	background.Go(func() { s.keepRoster(s.life) })
	background.Go(func() { s.peers.run(s.life) })
	background.Go(func() { s.signalr.Run(s.life) })
	s.signalr.Start(key)
	s.serving.Store(true)
	close(s.ready)

	<-ctx.Done()
	s.drain()
	background.Wait()
	return nil
}

// Check is the gateway's readiness: it serves, and the live feed could be
// compared with the log.
func (s *Service) Check(context.Context) error {
	if !s.serving.Load() {
		return errNotServing
	}
	if err := s.feed.checked.Load(); err != nil && *err != nil {
		return *err
	}
	return nil
}

// errNotServing is for the moments before and after; a process answers its callers
// in those itself.
var errNotServing = fault.New(fault.Draining, "the gateway does not serve; come back to another replica")

// newConnection makes a connection known to the hub, the ping wheel and the crowd:
// real-time events of these codes come from here on. Codes
// draining, at_capacity, too_many_connections.
func (s *Service) newConnection(p protocol, principal *auth.Principal, out sink, codes codeSet) (*connection, error) {
	c := s.prepare(p, principal, out, codes)
	if err := s.enter(c, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare makes a connection that nobody knows of yet.
func (s *Service) prepare(p protocol, principal *auth.Principal, out sink, codes codeSet) *connection {
	c := &connection{
		id: event.NewID(), proto: p, principal: principal, out: out,
		limit: s.config.QueueBytes, stats: s.stats, trace: s.trace, expires: principal.Expires.Unix(), codes: codes,
	}
	c.alive.Store(time.Now().Unix())
	return c
}

// enter makes a connection known. Nothing is written to it before welcome, if there
// is one.
func (s *Service) enter(c *connection, welcome *item) error {
	principal := c.principal
	if err := s.hub.join(c); err != nil {
		s.stats.limited(fault.From(err).Details()["limit"], principal)
		return err
	}
	if welcome != nil {
		c.answer(welcome)
	}
	s.wheel.add(c)
	if err := s.guard.Revoked(principal); err != nil { // between its handshake and here
		c.shut(fault.TokenRevoked)
	}
	s.stats.connected(c.proto, principal, 1)
	s.crowd.enter(c)
	s.interest.wait()
	return nil
}

// endConnection forgets a connection; whoever reads from it calls this once, when
// nothing of it runs any more.
func (s *Service) endConnection(c *connection) {
	c.kill()
	s.wheel.remove(c)
	s.crowd.leave(c)
	s.stats.connected(c.proto, c.principal, -1)
	s.feed.release(s.hub.leave(c)...)
}

// String is the transport as metrics call it.
func (p protocol) String() string {
	switch p {
	case plain:
		return "websocket"
	case sse:
		return "sse"
	case signalrJSON:
		return "signalr_json"
	case signalrMessagePack:
		return "signalr_messagepack"
	}
	return strconv.Itoa(int(p))
}
