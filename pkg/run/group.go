package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// StopWithin is how long a part may take to stop unless it says otherwise.
const StopWithin = 10 * time.Second

// Part is one thing a process does.
type Part struct {
	Name string
	// New makes the service. It is called when the parts before are ready, so it
	// may use what they made; ctx ends when the process is told to stop.
	New func(ctx context.Context) (Service, error)
	// StopWithin is the deadline for its stop; 0 = the constant of that name. One
	// that is late is given up, with an error, and the others stop still.
	StopWithin time.Duration
}

// Group is parts that start in order and stop in reverse. It is a Service.
type Group struct {
	log      *slog.Logger
	parts    []Part
	ready    chan struct{}
	draining chan struct{}
	failed   chan error // the first part that ends without being told to
}

// NewGroup starts nothing.
func NewGroup(log *slog.Logger, parts ...Part) *Group {
	return &Group{log, parts, make(chan struct{}), make(chan struct{}), make(chan error, len(parts))}
}

// Ready is closed when every part is ready.
func (g *Group) Ready() <-chan struct{} { return g.ready }

// Draining is closed when the group begins to stop.
func (g *Group) Draining() <-chan struct{} { return g.draining }

// running is a part that was started.
type running struct {
	Part
	cancel context.CancelFunc
	done   chan error // holds the result of Run, once
}

// Run starts the parts, waits, and stops them. The error names the part: that of
// the one that failed first, joined with those of parts that did not stop well.
func (g *Group) Run(ctx context.Context) error {
	began := time.Now()
	var up []*running
	var err error
	for _, p := range g.parts {
		var r *running
		if r, err = g.start(ctx, p); r != nil {
			up = append(up, r)
		}
		if err != nil || ctx.Err() != nil {
			break
		}
	}
	if err == nil && ctx.Err() == nil {
		g.log.InfoContext(ctx, "ready", telemetry.KeyDuration, time.Since(began))
		close(g.ready)
		select {
		case err = <-g.failed:
		case <-ctx.Done():
		}
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // interrupted while starting: what was asked for
	}
	close(g.draining)
	return errors.Join(append([]error{err}, g.stop(ctx, up)...)...)
}

// start returns a nil *running if there is nothing to stop.
func (g *Group) start(ctx context.Context, p Part) (*running, error) {
	began := time.Now()
	service, err := create(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if patient, ok := service.(Patient); ok {
		p.StopWithin = patient.StopWithin()
	}
	// Its end is ours to say, in order: ctx ending must not stop all at once.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{p, cancel, make(chan error, 1)}
	go func() {
		err := guard(func() error { return service.Run(own) })
		r.done <- err
		if own.Err() != nil {
			return
		}
		if err == nil {
			err = fault.New(fault.Internal, "ended without being told to")
		}
		g.failed <- fmt.Errorf("%s: %w", p.Name, err)
	}()
	select {
	case <-service.Ready():
		g.log.DebugContext(ctx, "part ready", telemetry.KeyPart, p.Name, telemetry.KeyDuration, time.Since(began))
		return r, nil
	case err := <-g.failed: // of this part, or of an earlier one
		return r, err
	case <-ctx.Done():
		return r, nil
	}
}

func create(ctx context.Context, p Part) (s Service, err error) {
	err = guard(func() error {
		s, err = p.New(ctx)
		return err
	})
	return s, err
}

// stop ends the parts in reverse order, each after the one that followed it.
func (g *Group) stop(ctx context.Context, up []*running) (errs []error) {
	ctx = context.WithoutCancel(ctx)
	for _, r := range slices.Backward(up) {
		began := time.Now()
		within := r.StopWithin
		if within == 0 {
			within = StopWithin
		}
		alreadyEnded := len(r.done) > 0
		r.cancel()
		late := time.NewTimer(within)
		select {
		case err := <-r.done:
			if err != nil && !alreadyEnded { // otherwise it is the failure that stopped us
				errs = append(errs, fmt.Errorf("stop %s: %w", r.Name, err))
			}
			g.log.DebugContext(ctx, "part stopped", telemetry.KeyPart, r.Name, telemetry.KeyDuration, time.Since(began))
		case <-late.C:
			errs = append(errs, fault.New(fault.Internal, "stop %s: not done within %s", r.Name, within))
			g.log.WarnContext(ctx, "part did not stop in time", telemetry.KeyPart, r.Name, telemetry.KeyDuration, within)
		}
		late.Stop()
	}
	return errs
}

// guard turns a panic into an error that carries the stack as its cause.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fault.Wrap(fault.Internal, fmt.Errorf("%v\n%s", v, debug.Stack()), "panic: %v", v)
		}
	}()
	return f()
}
