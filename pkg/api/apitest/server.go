package apitest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// URL is where a Server is, for its own clients.
const URL = "http://belfry.test"

// Server serves a handler over connections that are pairs of pipes.
type Server struct {
	listener *listener
	one, two *http.Client
}

// NewServer serves h until the test ends, when every request must have ended.
func NewServer(t testing.TB, h http.Handler) *Server {
	t.Helper()
	both := protocols(true, true)
	s := &Server{listener: &listener{conns: make(chan net.Conn), done: make(chan struct{})}}
	server := &http.Server{Handler: h, Protocols: both, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	transports := []*http.Transport{
		{DialContext: s.listener.dial, Protocols: protocols(true, false)},
		{DialContext: s.listener.dial, Protocols: protocols(false, true)},
	}
	s.one, s.two = &http.Client{Transport: transports[0]}, &http.Client{Transport: transports[1]}
	t.Cleanup(func() {
		for _, tr := range transports {
			tr.CloseIdleConnections()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("requests did not end: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

func protocols(one, two bool) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(one)
	p.SetUnencryptedHTTP2(two)
	return &p
}

// Client speaks HTTP/1.1 to the server, wherever its URLs point.
func (s *Server) Client() *http.Client { return s.one }

// HTTP2 speaks HTTP/2 without TLS to the server, as gRPC needs it.
func (s *Server) HTTP2() *http.Client { return s.two }

// listener accepts what dial makes.
type listener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "belfry.test" }
