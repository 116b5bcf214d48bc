package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	// readHeaderTimeout is how long a client may take to send its headers.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout is how long a kept-alive connection may wait for its next
	// request; above the 60 s of common load balancers, so that they close first.
	idleTimeout = 75 * time.Second
	// maxHeaderBytes leaves room for a token of auth.MaxToken and cookies of others.
	maxHeaderBytes = 32 << 10
	// shutdownWithin is how long requests in flight may still take.
	shutdownWithin = 8 * time.Second
)

// ServerOptions configures NewServer.
type ServerOptions struct {
	Key     string // the setting that holds Addr, named in errors: "http.addr"
	Addr    string // host:port; port 0 = any free one
	Handler http.Handler
	TLS     *tls.Config // nil = plain HTTP
	Log     *slog.Logger
}

// Server is one HTTP listener. It is a run.Service: ready when it listens, and
// its stop lets requests in flight finish. WebSockets have left HTTP and are
// for their handler to end; answers that never end (SSE, long polls) too.
type Server struct {
	o     ServerOptions
	http  http.Server
	ready chan struct{}
	addr  net.Addr // set before ready
}

// NewServer listens to nothing yet.
//
// There is no read or write timeout on purpose: answers may take 90 s (long
// polls) or for ever (SSE). What is bounded instead is in slow.go.
func NewServer(o ServerOptions) *Server {
	s := &Server{o: o, ready: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS, by prior knowledge
	s.http = http.Server{
		Protocols:         &protocols,
		Handler:           Wrap(o.Handler, o.Log),
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What net/http says of broken handshakes names addresses of strangers.
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where it listens; call it when Ready.
func (s *Server) Addr() net.Addr { return s.addr }

// Run serves until ctx ends, then waits for requests in flight. Codes
// port_in_use, invalid_config.
func (s *Server) Run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.o.Addr)
	if err != nil {
		return s.listenFault(err)
	}
	s.addr = l.Addr()
	serve := s.http.Serve
	if s.o.TLS != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	close(s.ready)
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.o.Key, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
	defer cancel()
	late := s.http.Shutdown(ctx)
	if late != nil {
		_ = s.http.Close() // those that did not finish in time are cut
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.o.Key, err)
	}
	if late != nil {
		return fault.Wrap(fault.Unavailable, late, "requests were still running after %s and have been cut", shutdownWithin)
	}
	return nil
}

func (s *Server) listenFault(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.PortInUse, err, "%s: another process listens on %s", s.o.Key, s.o.Addr).With("field", s.o.Key)
	}
	return fault.Wrap(fault.InvalidConfig, err, "%s: cannot listen on %s: %s", s.o.Key, s.o.Addr, reason(err)).With("field", s.o.Key)
}

// reason is the innermost text: "permission denied", not the whole story again.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
