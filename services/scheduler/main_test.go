package scheduler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait of a test; nothing waits for it to pass.
const patience = 2 * time.Minute

// streams adds what the scheduler keeps to the platform.
func streams(s *topology.Spec) { *s = s.And(Topology(topology.Options{})) }

// replica is one scheduler process.
type replica struct {
	t    testing.TB
	s    *Service
	mux  *http.ServeMux
	keys *auth.HS256
	stop func()
}

// newReplica makes a scheduler on a connection; it runs until the test ends.
func newReplica(t testing.TB, b *bus.Bus, options ...func(*Service, *Config)) *replica {
	t.Helper()
	r := makeReplica(t, b, options...)
	r.start()
	return r
}

func makeReplica(t testing.TB, b *bus.Bus, options ...func(*Service, *Config)) *replica {
	t.Helper()
	keys, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	env := process.Env{
		Log: log, Bus: b, Registry: prometheus.NewRegistry(), Mux: http.NewServeMux(), MaxEventBytes: 1 << 20,
		Tracer: noop.NewTracerProvider().Tracer(""), Guard: auth.NewGuard(auth.GuardOptions{Tokens: keys}),
	}
	env.API = api.NewMux(api.MuxOptions{
		HTTP: env.Mux, Guard: env.Guard, Registry: env.Registry, Tracer: env.Tracer, Log: log, MaxBytes: 8 << 20,
	})
	c := Default()
	for _, o := range options {
		o(&Service{}, &c)
	}
	s, err := New(Options{Config: c, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		o(s, &c)
	}
	return &replica{t: t, s: s, mux: env.Mux, keys: keys}
}

func (r *replica) start() {
	r.t.Helper()
	r.stop = r.run()
	r.t.Cleanup(r.stop)
}

// run runs the scheduler until the function it gives is called.
func (r *replica) run() (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.s.Run(ctx) }()
	select {
	case <-r.s.Ready():
	case err := <-ended:
		r.t.Fatalf("run: %v", err)
	}
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
}

func configure(change func(*Config)) func(*Service, *Config) {
	return func(_ *Service, c *Config) { change(c) }
}

func replace(change func(*Service)) func(*Service, *Config) {
	return func(s *Service, _ *Config) { change(s) }
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a bubble

// slowly looks seldom whether everything is still there: an idle day costs less.
var slowly = replace(func(s *Service) {
	s.pace = pace{pull: 150 * time.Second, pinned: time.Hour, steps: time.Hour, count: time.Hour}
})

// token is a token of anna for AA with the given grants, or all.
func (r *replica) token(grants ...string) string {
	r.t.Helper()
	gs, err := auth.ParseGrants(grants)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(grants) == 0 {
		gs = auth.Everything()
	}
	return r.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: gs, TTL: 24 * 365 * time.Hour})
}

func (r *replica) sign(c auth.Claims) string {
	r.t.Helper()
	token, err := r.keys.Sign(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// call makes an HTTP request, without a socket.
func (r *replica) call(method, path, token, body string) (int, string) {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	r.mux.ServeHTTP(w, req)
	b, err := io.ReadAll(w.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return w.Code, string(b)
}

// must is call that has to succeed.
func (r *replica) must(method, path, token, body string) string {
	r.t.Helper()
	status, answer := r.call(method, path, token, body)
	if status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// heard is what a subscriber was told.
type heard struct {
	mu     sync.Mutex
	events []told
}

type told struct {
	event.Event
	at time.Time
}

func (h *heard) add(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, told{e, time.Now()})
}

func (h *heard) all() []told {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]told(nil), h.events...)
}

// listen hears everything under a pattern.
func listen(t testing.TB, nc *nats.Conn, pattern string) *heard {
	t.Helper()
	h := &heard{}
	sub, err := nc.Subscribe(pattern, func(m *nats.Msg) { h.add(event.Decode(m.Subject, m.Header, m.Data, event.Stored{})) })
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return h
}

// stored are the events of a pattern in the log.
func stored(t testing.TB, b *bus.Bus, pattern string) (list []event.Event) {
	t.Helper()
	s := newStore(b)
	for seq := uint64(1); ; {
		m, err := s.after(t.Context(), topology.Events, pattern, seq)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			return list
		}
		seq = m.Seq + 1
		raw, err := b.JS.Stream(t.Context(), topology.Events)
		if err != nil {
			t.Fatal(err)
		}
		full, err := raw.GetMsg(t.Context(), m.Seq)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, event.Decode(full.Subject, full.Header, full.Data, event.Stored{}))
	}
}
