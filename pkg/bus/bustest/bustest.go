package bustest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

// stopTimeout bounds the clean-up after a test.
const stopTimeout = 20 * time.Second

// Option changes how a server starts.
type Option func(*settings)

type settings struct {
	embed    embed.Options
	topology topology.Options
	spec     func(*topology.Spec)
	bare     bool
}

// Embed changes the server's options.
func Embed(change func(*embed.Options)) Option {
	return func(s *settings) { change(&s.embed) }
}

// Topology changes the topology's options.
func Topology(change func(*topology.Options)) Option {
	return func(s *settings) { change(&s.topology) }
}

// Spec adds to what is ensured beside topology.Platform.
func Spec(change func(*topology.Spec)) Option {
	return func(s *settings) { s.spec = change }
}

// Bare leaves JetStream empty: no topology.
func Bare() Option { return func(s *settings) { s.bare = true } }

// InProcess starts without a socket: the server fits into a synctest bubble.
func InProcess() Option {
	return Embed(func(o *embed.Options) { o.NoListen = true })
}

// Server is one running server and a service connection to it.
type Server struct {
	t       testing.TB
	set     settings
	node    *embed.Server
	service *bus.Bus
}

// Start runs a server until the test ends, on the loopback, on a free port, in
// a temporary directory, with the platform's topology.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, set: settings{embed: embed.Options{DataDir: t.TempDir(), Port: -1, Log: slog.New(slog.DiscardHandler)}}}
	for _, o := range options {
		o(&s.set)
	}
	t.Cleanup(s.stop)
	s.start()
	return s
}

func (s *Server) start() {
	s.t.Helper()
	var err error
	if s.node, err = embed.Start(s.t.Context(), s.set.embed); err != nil {
		s.t.Fatalf("start nats: %v", err)
	}
	if s.service, err = bus.Connect(s.t.Context(), bus.Options{
		Config:    bus.Config{User: embed.ServiceUser, Password: s.node.ServicePassword(), Name: "bustest"},
		InProcess: s.node.InProcess(), Log: s.set.embed.Log,
	}); err != nil {
		s.t.Fatalf("connect: %v", err)
	}
	if s.set.bare {
		return
	}
	spec := topology.Platform(s.set.topology)
	if s.set.spec != nil {
		s.set.spec(&spec)
	}
	if _, err := topology.Ensure(s.t.Context(), s.service.JS, spec, s.set.topology); err != nil {
		s.t.Fatalf("ensure topology: %v", err)
	}
}

func (s *Server) stop() {
	// The test's own context is over when clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.service != nil {
		if err := s.service.Close(ctx); err != nil {
			s.t.Errorf("close the service connection: %v", err)
		}
	}
	if s.node != nil {
		if err := s.node.Stop(ctx); err != nil {
			s.t.Errorf("stop nats: %v", err)
		}
	}
}

// URL is where clients connect; without credentials they are the user app.
func (s *Server) URL() string { return s.node.ClientURL() }

// Bus is a service connection, closed when the test ends.
func (s *Server) Bus() *bus.Bus { return s.service }

// Node is the running server.
func (s *Server) Node() *embed.Server { return s.node }
