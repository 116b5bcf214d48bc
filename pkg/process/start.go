package process

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// retryEvery is how often something that is down is tried again while starting.
const retryEvery = time.Second

// batchFactor is how many times the largest event fits into one call: a batch of
// the largest ones would not fit into one of them.
const batchFactor = 8

type closer = func(context.Context) error

func (p *Process) openTracing(ctx context.Context) (_ closer, err error) {
	c := p.o.Config
	p.tracing, err = telemetry.NewTracing(ctx, telemetry.TraceOptions{
		Endpoint: c.TraceEndpoint, Sample: c.TraceSample, Service: p.o.Name, Version: Version(),
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// A collector that is away must not turn an orderly stop into a failure.
		if err := p.tracing.Stop(ctx); err != nil {
			p.log.WarnContext(ctx, "traces lost", telemetry.Err(err))
		}
		return nil
	}, nil
}

// openAudit opens the audit log, and with it the limits, whose refusals it records.
func (p *Process) openAudit(context.Context) (closer, error) {
	c := p.o.Config
	p.limits = api.NewLimits(c.Limits, p.registry, nil)
	if c.AuditFile == "" {
		p.audit = api.NewAuditLog(os.Stderr)
		return nil, nil
	}
	f, err := api.OpenAuditFile(c.AuditFile, p.log)
	if err != nil {
		return nil, err
	}
	p.audit = api.NewAuditLog(f)
	return func(context.Context) error { return f.Close() }, nil
}

func (p *Process) newAdmin(context.Context) (run.Service, error) {
	c := p.o.Config
	tls, err := api.LoadTLS("admin", c.AdminTLSCert, c.AdminTLSKey, c.AdminClientCA, p.log)
	if err != nil {
		return nil, err
	}
	p.admin = api.NewServer(api.ServerOptions{
		Key: "admin.addr", Addr: c.Admin, TLS: tls, Log: p.log,
		Handler: api.Routes(telemetry.AdminHandler(p.registry, p.health)),
	})
	return p.admin, nil
}

func (p *Process) newHTTP(context.Context) (run.Service, error) {
	c := p.o.Config
	tls, err := api.LoadTLS("http", c.HTTPTLSCert, c.HTTPTLSKey, c.HTTPClientCA, p.log)
	if err != nil {
		return nil, err
	}
	p.api = api.NewMux(api.MuxOptions{
		HTTP: p.mux, Guard: p.guard, Registry: p.registry, Tracer: p.tracing.Tracer("belfry/api"), Log: p.log,
		Limiter: p.limits, Audit: p.audit,
		MaxBytes: batchFactor * c.Events.MaxBytes, Version: Version(),
	})
	p.api.MountDocs()
	p.http = api.NewServer(api.ServerOptions{
		Key: "http.addr", Addr: c.HTTP, TLS: tls, Log: p.log,
		Handler: api.Gate(p.turnsAway, api.Audited(p.audit, api.Routes(p.mux))),
	})
	return p.http, nil
}

func (p *Process) openNATS(ctx context.Context) (_ closer, err error) {
	if p.embedded, err = p.o.Embed(ctx, p.o.Config, p.log); err != nil {
		return nil, err
	}
	p.health.Add("nats", func(context.Context) error { return p.embedded.Check() })
	if p.embedded.Stats != nil {
		p.registry.MustRegister(p.embedded.Stats)
	}
	return p.embedded.Stop, nil
}

func (p *Process) openBus(ctx context.Context) (closer, error) {
	err := p.patiently(ctx, "bus", func(ctx context.Context) (err error) {
		var o bus.Options
		if p.embedded != nil {
			o = p.embedded.Bus
		} else if o.Config, err = p.o.Config.NATS.BusConfig(p.o.Name); err != nil { // read anew: a wrong password is corrected in its file
			return err
		}
		o.Name, o.Log, o.Registry = p.o.Name, p.log, p.registry
		p.bus, err = bus.Connect(ctx, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.health.Add("bus", func(context.Context) error {
		if !p.bus.NC.IsConnected() {
			return fault.New(fault.Unavailable, "not connected to NATS")
		}
		return nil
	})
	return p.bus.Close, nil
}

func (p *Process) openTopology(ctx context.Context) (closer, error) {
	o := p.o.Config.topologyOptions()
	o.Log = p.log
	spec := topology.Platform(o)
	for _, part := range p.o.Parts {
		if part.Topology != nil {
			spec = spec.And(part.Topology(o))
		}
	}
	err := p.patiently(ctx, "topology", func(ctx context.Context) error {
		_, err := topology.Ensure(ctx, p.bus.JS, spec, o)
		return err
	})
	// Only from now on: before, a log that is not there is not lost.
	p.health.Add("topology", func(ctx context.Context) error {
		_, err := topology.EventsState(ctx, p.bus.NC)
		return err
	})
	return nil, err
}

// patiently tries until it succeeds, as long as what is in the way may go away:
// NATS that is not up yet or refuses us, a cluster without a leader or with too few
// servers, a stream that an operator must decide about. Meanwhile the process is
// not ready and says why: an end, and a restart, would only hide the sentence.
func (p *Process) patiently(ctx context.Context, part string, try func(context.Context) error) error {
	var state atomic.Pointer[error]
	var starting error = fault.New(fault.Starting, "%s: not there yet", part)
	state.Store(&starting)
	p.health.Add(part, func(context.Context) error {
		if err := state.Load(); err != nil {
			return *err
		}
		return nil
	})
	var last fault.Code
	for {
		err := try(ctx)
		if !isDown(err) && !isRefused(err) {
			state.Store(nil)
			return err
		}
		state.Store(&err)
		if code := fault.CodeOf(err); code != last { // once, not every second
			last = code
			p.log.WarnContext(ctx, "not ready, trying again", telemetry.KeyPart, part, telemetry.KeyCode, code, telemetry.Err(err))
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isRefused says that NATS answered, and what it said may change without us: a
// password is corrected there or in our file, a server joins.
func isRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, topology.ErrTooFewServers)
}
