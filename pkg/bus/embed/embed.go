package embed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Options configure a server. Only DataDir is required.
type Options struct {
	DataDir string // holds streams, the service password and a lock; made if missing

	Host     string      // default 127.0.0.1
	Port     int         // default 4222; -1 = any free port
	NoListen bool        // only in-process connections
	TLS      certs.Files // of the listener for clients

	ServerName string // default "belfry"; in a cluster every node needs its own
	Cluster    Cluster

	ServicePassword string // default: generated once, kept in DataDir
	MaxEventBytes   int    // largest data of one event; default 1 MiB
	SyncAlways      bool   // fsync before every acknowledgement, not every two minutes

	// LameDuck is how long Stop takes to send clients away, a few at a time, to the
	// other nodes of a cluster, after it has handed its streams over. Default 0: all
	// at once.
	LameDuck time.Duration

	Log *slog.Logger // default: discards
}

// Cluster makes the server one node of several. All nodes need the same Name
// and the same ServicePassword, which also protects the routes between them.
type Cluster struct {
	Name   string      // empty: no cluster
	Host   string      // default 127.0.0.1
	Port   int         // where other nodes connect; -1 = any free port
	Routes []string    // host:port of the nodes' cluster ports, own one included or not
	TLS    certs.Files // between the nodes, both ways; CA is needed
}

// Server is a running NATS server.
type Server struct {
	ns       *server.Server
	lock     *flock.Flock
	log      *serverLog
	password string
	lameDuck bool
}

// readyTimeout bounds the wait for the listener after JetStream has recovered.
const (
	readyTimeout = 10 * time.Second
	readyStep    = 100 * time.Millisecond
)

// Start brings a server up and returns once it takes connections. A cluster
// node is up before the cluster has a leader. Codes: data_dir_unwritable,
// data_dir_in_use, port_in_use, invalid_config.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the NATS server: %w", err)
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, log: &serverLog{log: o.Log}, lameDuck: o.LameDuck > 0}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) (err error) {
	if err := o.probePorts(ctx); err != nil {
		return err
	}
	if s.password = o.ServicePassword; s.password == "" {
		if s.password, err = loadPassword(o.DataDir); err != nil {
			return err
		}
	}
	options, err := o.serverOptions(s.password)
	if err != nil {
		return err
	}
	if s.ns, err = server.NewServer(options); err != nil {
		return fault.Wrap(fault.InvalidConfig, err, "the NATS server refuses its settings")
	}
	s.ns.SetLoggerV2(s.log, false, false, false)
	s.ns.Start() // returns after JetStream has recovered its store
	if s.ready() {
		return nil
	}
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	line := s.log.died()
	if strings.Contains(line, syscall.EADDRINUSE.Error()) { // taken since the probe
		return fault.Wrap(fault.PortInUse, errors.New(line), "another process took the port")
	}
	return fault.Wrap(fault.Unavailable, errors.New(line), "the NATS server did not start")
}

// ready waits for the listener, but not once the server has given up.
func (s *Server) ready() bool {
	for end := time.Now().Add(readyTimeout); time.Now().Before(end) && s.log.died() == ""; {
		if s.ns.ReadyForConnections(readyStep) {
			return s.log.died() == ""
		}
	}
	return false
}

// Stop shuts down and waits until the store is closed and the data directory
// free again. When ctx ends first the shutdown goes on behind it. Stopping twice
// is stopping once.
func (s *Server) Stop(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		if s.lameDuck {
			s.ns.LameDuckShutdown()
		}
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		done <- s.lock.Unlock()
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("unlock the data directory: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the NATS server is still shutting down")
	}
}

// ClientURL is where clients connect, with the effective port; empty with
// NoListen.
func (s *Server) ClientURL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return s.ns.ClientURL()
}

// Port is the effective port of the client listener, 0 with NoListen.
func (s *Server) Port() int {
	if a, ok := s.ns.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// ServicePassword is the password of ServiceUser.
func (s *Server) ServicePassword() string { return s.password }

// InProcess gives connections without a socket, for nats.InProcessServer.
func (s *Server) InProcess() *server.Server { return s.ns }

// Healthz is nil while the server, its JetStream and all streams are well; code
// unavailable otherwise.
func (s *Server) Healthz() error {
	if h := s.ns.Healthz(nil); h.Status != "ok" {
		return fault.Wrap(fault.Unavailable, errors.New(h.Error), "the NATS server is not well: %s", h.Status)
	}
	return nil
}
