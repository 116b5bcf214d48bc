package process

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Options configures New.
type Options struct {
	Name    string // of the program: "belfry", "gateway"
	Config  Config // validated
	Parts   []Part
	Embed   Embedder // nil: Config.NATS.URL is required
	Log     *slog.Logger
	OnReady func(Addresses) // called once, when all parts are ready; may be nil
}

// Addresses are where a ready process can be reached.
type Addresses struct {
	HTTP  string // http://127.0.0.1:8080
	Admin string // "" = none
	NATS  string // nats://127.0.0.1:4222; "" = nowhere
}

// Process is a run.Service made of all the others.
type Process struct {
	o        Options
	group    *run.Group
	registry *prometheus.Registry
	health   *telemetry.Health
	mux      *http.ServeMux
	log      *slog.Logger

	// Made while starting, each before the parts that use it.
	tracing     *telemetry.Tracing
	tokens      auth.Verifier
	hmacKeys    *auth.HMACKeyFile
	guard       *auth.Guard
	embedded    *Embedded
	bus         *bus.Bus
	api         *api.Mux
	limits      *api.Limits
	audit       *api.AuditLog
	admin, http *api.Server

	mu        sync.Mutex
	expecting []Expecting
}

// New wires a process and starts nothing. Code invalid_config.
func New(o Options) (*Process, error) {
	if o.Embed == nil && o.Config.NATS.URL == "" {
		return nil, fault.Field(fault.InvalidConfig, "nats.url", "is needed: %s runs no NATS server of its own (belfry run does)", o.Name)
	}
	p := &Process{
		o: o, log: o.Log, mux: http.NewServeMux(), health: telemetry.NewHealth(),
		registry: telemetry.NewRegistry(o.Name, Version()),
	}
	p.group = run.NewGroup(o.Log, p.parts()...)
	p.health.Add("process", func(context.Context) error { return p.closed() })
	return p, nil
}

// Ready is closed when every part is ready.
func (p *Process) Ready() <-chan struct{} { return p.group.Ready() }

// Run starts everything, serves until ctx ends, and stops everything in order.
func (p *Process) Run(ctx context.Context) error {
	var announced sync.WaitGroup
	announced.Go(func() {
		select {
		case <-p.group.Ready():
			if p.o.OnReady != nil {
				p.o.OnReady(p.addresses())
			}
		case <-p.group.Draining():
		}
	})
	defer announced.Wait()
	return p.group.Run(ctx)
}

// parts is the order of the package comment.
func (p *Process) parts() []run.Part {
	parts := []run.Part{
		run.Part{Name: "tracing"}.Open(p.openTracing),
		run.Part{Name: "auth"}.Open(p.openAuth),
		run.Part{Name: "audit"}.Open(p.openAudit),
	}
	if p.o.Config.Admin != "" {
		parts = append(parts, run.Part{Name: "admin", New: p.newAdmin})
	}
	if p.o.Config.NATS.URL == "" {
		parts = append(parts, run.Part{Name: "nats"}.Open(p.openNATS))
	}
	parts = append(parts,
		run.Part{Name: "bus"}.Open(p.openBus),
		run.Part{Name: "topology"}.Open(p.openTopology),
		run.Part{Name: "guard", New: p.newGuard},
		run.Part{Name: "http", New: p.newHTTP})
	for _, part := range p.o.Parts {
		parts = append(parts, run.Part{Name: part.Name, New: func(context.Context) (run.Service, error) {
			return p.newService(part)
		}})
	}
	// Last: calls over NATS are answered once all services are ready, and end first.
	return append(parts, run.Part{Name: "calls", New: func(context.Context) (run.Service, error) {
		return p.api.NATS(p.bus.NC), nil
	}})
}

func (p *Process) newService(part Part) (run.Service, error) {
	s, err := part.New(Env{
		Name: part.Name, Version: Version(), Log: p.log.With(telemetry.KeyPart, part.Name),
		Bus: p.bus, Registry: p.registry, Tracer: p.tracing.Tracer("belfry/" + part.Name),
		Verifier: p.guard, Guard: p.guard, API: p.api, Mux: p.mux, Limits: p.limits, Audit: p.audit, MaxEventBytes: p.o.Config.Events.MaxBytes, TokenLife: p.o.Config.Auth.MaxLife,
	})
	if err != nil {
		return nil, err
	}
	if c, ok := s.(run.Checker); ok {
		p.health.Add(part.Name, c.Check)
	}
	if e, ok := s.(Expecting); ok {
		p.mu.Lock()
		p.expecting = append(p.expecting, e)
		p.mu.Unlock()
	}
	return s, nil
}

// turnsAway is closed for one request: those that a service expects are still let in.
func (p *Process) turnsAway(r *http.Request) error {
	err := p.closed()
	if fault.CodeOf(err) != fault.Draining {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.expecting {
		if e.Expects(r) {
			return nil
		}
	}
	return err
}

// closed is why HTTP and /readyz turn callers away: nil while everything serves.
func (p *Process) closed() error {
	select {
	case <-p.group.Draining():
		return fault.New(fault.Draining, "shutting down; come back to another replica")
	default:
	}
	select {
	case <-p.group.Ready():
		return nil
	default:
		return fault.New(fault.Starting, "not serving yet")
	}
}

func (p *Process) addresses() Addresses {
	a := Addresses{HTTP: serverURL(p.http, p.o.Config.HTTPTLSCert != "")}
	if p.admin != nil {
		a.Admin = serverURL(p.admin, p.o.Config.AdminTLSCert != "")
	}
	if p.embedded != nil {
		a.NATS = p.embedded.URL
	} else {
		a.NATS = bus.Redact(p.o.Config.NATS.URL)
	}
	return a
}

// serverURL is where a person can reach a server: one that listens on every
// address is reached on the loopback.
func serverURL(s *api.Server, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(s.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// isDown says that an error may go away by itself.
func isDown(err error) bool {
	return err != nil && fault.CodeOf(err).Kind() == fault.Down && !errors.Is(err, context.Canceled)
}
