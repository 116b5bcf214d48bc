package bustest

import (
	"log/slog"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Server is one running server and a service connection to it.
type Server struct {
	t       testing.TB
	set     settings
	node    atomic.Pointer[embed.Server] // a connection that reconnects asks while Resume changes it
	service *bus.Bus
	lost    uint64 // reconnects of the service connection before Stop
}

// Start runs a server until the test ends, on the loopback, on a free port, in
// a temporary directory, with the platform's topology.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, set: settings{embed: embed.Options{DataDir: t.TempDir(), Port: -1, Log: slog.New(slog.DiscardHandler)}}}
	for _, o := range options {
		o(&s.set)
	}
	t.Cleanup(func() {
		closeBus(t, s.service)
		stopNode(t, s.node.Load())
	})
	s.node.Store(startNode(t, s.set.embed))
	s.set.embed.Port = effectivePort(s.node.Load(), s.set.embed.Port)
	s.service = s.set.connect(t, bus.Options{
		Config:    bus.Config{User: embed.ServiceUser, Password: s.node.Load().ServicePassword()},
		InProcess: s,
	})
	s.set.ensure(t, s.service)
	return s
}

// effectivePort keeps a port that was chosen freely, so that a restart finds it again.
func effectivePort(n *embed.Server, asked int) int {
	if p := n.Port(); p != 0 {
		return p
	}
	return asked
}

// Restart stops the server and starts it again: same store, same port, same
// password. Connections find it again by themselves, the service's too.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Resume()
}

// Stop stops the server and keeps its store; Resume starts it again.
func (s *Server) Stop() {
	s.t.Helper()
	s.lost = s.service.NC.Stats().Reconnects
	stopNode(s.t, s.node.Load())
}

// Resume starts the server after Stop and waits for the service connection.
func (s *Server) Resume() {
	s.t.Helper()
	s.node.Store(startNode(s.t, s.set.embed))
	// Being connected says nothing: it may not have noticed yet.
	Eventually(s.t, readyTimeout, "the service connection is back", func() bool { return s.service.NC.Stats().Reconnects > s.lost })
}

// InProcessConn makes a Server a nats.InProcessConnProvider that always leads
// to the server running now.
func (s *Server) InProcessConn() (net.Conn, error) { return s.node.Load().InProcess().InProcessConn() }

// URL is where clients connect; without credentials they are the user app.
func (s *Server) URL() string { return s.node.Load().ClientURL() }

// ServiceURL is URL with the credentials of the service user.
func (s *Server) ServiceURL() string { return withUser(s.URL(), s.node.Load().ServicePassword()) }

// Connect is one more service connection, as another process has it, closed when
// the test ends.
func (s *Server) Connect() *bus.Bus {
	s.t.Helper()
	b := s.set.connect(s.t, bus.Options{
		Config:    bus.Config{User: embed.ServiceUser, Password: s.node.Load().ServicePassword()},
		InProcess: s,
	})
	s.t.Cleanup(func() { closeBus(s.t, b) })
	return b
}

// Bus is a service connection, closed when the test ends.
func (s *Server) Bus() *bus.Bus { return s.service }

// Node is the server running now.
func (s *Server) Node() *embed.Server { return s.node.Load() }

// Topology are the options the topology was ensured with.
func (s *Server) Topology() topology.Options { return s.set.topology }

func withUser(server, password string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	u.User = url.UserPassword(embed.ServiceUser, password)
	return u.String()
}
