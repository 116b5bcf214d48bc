package api

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

const (
	// maxNATSCalls is how many requests over NATS are answered at once: several
	// thousand partners may park a long poll of 90 s here. One costs a goroutine
	// and its request.
	maxNATSCalls = 8192
	// parkedWithin is how long a call may still take once we stop, before it is
	// told to end; those under way are done long before, those that wait are not.
	parkedWithin = 500 * time.Millisecond
)

// NATS answers the mounted services' methods as requests on svc.<service>.<Method>.
// It is a run.Service; start it when the services are ready.
//
// nats.go's micro calls one handler at a time for each method, so its handlers
// only hand over: 100 callers that wait for an event must not keep the next one
// waiting. What the pool has no room for is refused at once with code
// unavailable, never queued.
type NATS struct {
	m     *Mux
	nc    *nats.Conn
	max   int
	ready chan struct{}
}

// NATS makes the way in over NATS; it subscribes to nothing before Run.
func (m *Mux) NATS(nc *nats.Conn) *NATS {
	return &NATS{m: m, nc: nc, max: maxNATSCalls, ready: make(chan struct{})}
}

// Ready is closed when the services listen.
func (n *NATS) Ready() <-chan struct{} { return n.ready }

// Run answers until ctx ends, then takes no more requests, lets those under way
// finish, and tells those that wait to come back to another replica.
func (n *NATS) Run(ctx context.Context) error {
	calls := &pool{slots: make(chan struct{}, n.max)}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var listening []micro.Service
	for _, s := range n.m.services {
		added, err := n.add(life, s, calls)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", subject.Service(s.short, ">"), err)
		}
		listening = append(listening, added)
	}
	within, done := context.WithTimeout(ctx, parkedWithin) // a flush needs an end
	err := n.nc.FlushWithContext(within)
	done()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	close(n.ready)
	<-ctx.Done()
	for _, s := range listening {
		if err := s.Stop(); err != nil {
			n.m.o.Log.WarnContext(ctx, "stop listening for calls", telemetry.Err(err))
		}
	}
	defer time.AfterFunc(parkedWithin, func() { end(errLeaving) }).Stop()
	calls.finish()
	return nil
}

// add lists one service with micro, which answers $SRV.PING, INFO and STATS for
// it. Replicas share the queue group.
func (n *NATS) add(life context.Context, s *service, calls *pool) (micro.Service, error) {
	added, err := micro.AddService(n.nc, micro.Config{
		Name: s.short, Version: semantic(n.m.o.Version), QueueGroup: s.short,
		Description: string(s.Contract.FullName()),
		Metadata:    map[string]string{"build": n.m.o.Version},
	})
	if err != nil {
		return nil, err
	}
	for _, me := range s.Methods {
		subj := subject.Service(s.short, me.name)
		err := added.AddEndpoint(me.name, micro.HandlerFunc(func(r micro.Request) {
			// Taken out here: micro looks at r again when the handler returns.
			request := &nats.Msg{Subject: subj, Reply: r.Reply(), Header: nats.Header(r.Headers()), Data: r.Data()}
			if err := calls.start(func() { n.serve(life, s, me, request) }); err != nil {
				n.answer(request.Reply, nil, fault.From(err))
			}
		}), micro.WithEndpointSubject(subj), micro.WithEndpointMetadata(map[string]string{
			"request": string(me.in), "response": string(me.out),
		}))
		if err != nil {
			_ = added.Stop()
			return nil, err
		}
	}
	return added, nil
}

// serve answers one request.
func (n *NATS) serve(life context.Context, s *service, me Method, r *nats.Msg) {
	n.m.stats.parked.Inc()
	defer n.m.stats.parked.Dec()
	ctx := telemetry.Extract(life, r.Header)
	c := &call{service: s.short, method: me.name, way: WayNATS}
	var answer []byte
	var encoding codec
	failed := n.m.chain(ctx, c,
		func(ctx context.Context) (*auth.Principal, error) {
			return n.m.o.Guard.NATS(ctx, r.Subject, r.Header, r.Data)
		},
		func(ctx context.Context) (err error) {
			defer recovered(&err)
			if encoding, err = codecFor(r.Header.Get("Content-Type")); err != nil {
				return err
			}
			answer, err = me.run(ctx, encoding, r.Data)
			return err
		})
	n.m.o.Audit.Record(ctx, Entry{What: r.Subject, Code: codeOf(failed)}.Of(c.who))
	if failed != nil {
		n.answer(r.Reply, nil, failed)
		return
	}
	n.answer(r.Reply, &nats.Msg{Header: nats.Header{"Content-Type": {"application/" + encoding.Name()}}, Data: answer}, nil)
}

// answer sends an answer, or a fault: its headers, and its JSON as body.
func (n *NATS) answer(reply string, m *nats.Msg, failed *fault.Error) {
	if reply == "" {
		return // published, not asked: nobody waits
	}
	if failed != nil {
		body, err := failed.MarshalJSON()
		if err != nil {
			body = []byte(`{"code":"internal","message":"internal error"}`)
		}
		m = &nats.Msg{Header: nats.Header{"Content-Type": {"application/json"}}, Data: body}
		failed.SetHeader(m.Header.Set)
		if seconds := retryIn(failed); seconds != "" {
			m.Header.Set("Retry-After", seconds)
		}
	}
	m.Subject = reply
	if err := n.nc.PublishMsg(m); err != nil {
		if failed == nil && len(m.Data) > int(n.nc.MaxPayload()) {
			n.answer(reply, nil, fault.New(fault.InvalidRequest, "the answer has %d bytes, NATS carries %d; ask for less", len(m.Data), n.nc.MaxPayload()))
			return
		}
		n.m.o.Log.Warn("answer not sent", telemetry.Err(err))
	}
}

// recovered makes a panic of a handler an internal error; net/http does the same
// for those over HTTP.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic in handler: %v", v)
	}
}

func codeOf(e *fault.Error) fault.Code {
	if e == nil {
		return ""
	}
	return e.Code()
}

// pool runs a bounded number of calls.
type pool struct {
	slots   chan struct{}
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// start runs f unless the pool is full or closed.
func (p *pool) start(f func()) error {
	select {
	case p.slots <- struct{}{}:
	default:
		return fault.New(fault.Unavailable, "%d calls are being answered; ask again, another replica may be free", cap(p.slots))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.slots
		return errLeaving
	}
	p.running.Go(func() {
		defer func() { <-p.slots }()
		f()
	})
	return nil
}

// finish takes no more and waits for those that run.
func (p *pool) finish() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

// errLeaving is what callers are told who came too late, or waited too long.
var errLeaving = fault.New(fault.Draining, "shutting down; ask again, another replica answers")

// semantic is a build's version as micro wants it, vMAJOR.MINOR.PATCH without the
// v; a build that has none, such as a developer's, is 0.0.0.
func semantic(version string) string {
	if m := version3.FindString(version); m != "" {
		return m
	}
	return "0.0.0"
}

var version3 = regexp.MustCompile(`\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?`)
