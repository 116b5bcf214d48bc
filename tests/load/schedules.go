package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/topology"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/proto/belfry/scheduler/v1/schedulerv1connect"
	"github.com/belfry-events/belfry/services/scheduler"
)

const (
	farAway  = "2190-01-01"     // when what is only armed would fire
	interval = 10 * time.Second // of the schedules that fire
	callers  = 128              // calls under way while schedules are made

	roomy = "scheduler.max_per_tenant=10000000"
)

// measureSchedules compares the scheduler with bare JetStream schedules: the same
// number armed, and the same number falling due per second, each on a NATS server
// of its own. A bare one fires once and nobody arms the next, so the reference
// has only the timer's own lateness.
func measureSchedules(ctx context.Context, p plan) ([]figure, error) {
	ours, err := scheduled(ctx, p, func(ctx context.Context, c *cluster) (timer, error) { return startOurs(ctx, p, c) })
	if err != nil {
		return nil, err
	}
	raw, err := scheduled(ctx, p, func(_ context.Context, c *cluster) (timer, error) { return &rawTimer{c: c}, nil })
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	armed := fmt.Sprintf("schedules, %d armed: ", p.armed)
	due := fmt.Sprintf("schedules, %d due/s: ", p.due)
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	return []figure{
		numbers(armed+"made per second", "%.0f", []float64{ours.made}, []float64{raw.made}),
		numbers(armed+"memory just made, MiB", "%.0f", []float64{mib(ours.full)}, []float64{mib(raw.full)}),
		numbers(armed+"memory after a restart, MiB", "%.0f", []float64{mib(ours.memory)}, []float64{mib(raw.memory)}),
		numbers(armed+"… more than empty, MiB", "%.0f", []float64{mib(ours.memory - ours.empty)}, []float64{mib(raw.memory - raw.empty)}),
		durations(armed+"restart", ours.restarts, raw.restarts),
		numbers(due+"fired per second", "%.0f", []float64{ours.rate}, []float64{raw.rate}),
		durations(due+"lateness, p50", []time.Duration{ours.p50}, []time.Duration{raw.p50}),
		durations(due+"lateness, p99", []time.Duration{ours.p99}, []time.Duration{raw.p99}),
	}, nil
}

// timer is what fires: ours, or bare JetStream.
type timer interface {
	arm(ctx context.Context, n int) error              // n that do not fire
	fire(ctx context.Context, p plan) ([]fired, error) // p.due a second for p.length
	restart(ctx context.Context) (time.Duration, error)
	memory() int64
	stop() error
}

// fired is one that fired: when it should have, and when its message was stored.
type fired struct{ due, at time.Time }

type scheduledRun struct {
	empty, full, memory int64 // resident: before, just after, and after a restart
	made                float64
	restarts            []time.Duration
	rate                float64
	p50, p99            time.Duration
}

// scheduled arms, restarts and fires.
func scheduled(ctx context.Context, p plan, start func(context.Context, *cluster) (timer, error)) (r scheduledRun, err error) {
	c, err := startCluster(ctx, p, 1, func(o topology.Options) topology.Spec {
		return topology.Platform(o).And(scheduler.Topology(o))
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	t, err := start(ctx, c)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	r.empty = t.memory()
	began := time.Now()
	if err := t.arm(ctx, p.armed); err != nil {
		return r, err
	}
	r.made = float64(p.armed) / time.Since(began).Seconds()
	r.full = t.memory()
	for range p.rounds {
		took, err := t.restart(ctx)
		if err != nil {
			return r, err
		}
		r.restarts = append(r.restarts, took)
	}
	r.memory = t.memory()
	all, err := t.fire(ctx, p)
	if err != nil {
		return r, err
	}
	r.rate = float64(len(all)) / p.length.Seconds()
	late := make([]time.Duration, len(all))
	for i, f := range all {
		late[i] = f.at.Sub(f.due)
	}
	r.p50, r.p99 = median(late), p99(late)
	return r, nil
}

// ours is a scheduler on a NATS server.
type ours struct {
	p       plan
	c       *cluster
	service *program
}

func startOurs(ctx context.Context, p plan, c *cluster) (*ours, error) {
	s, err := startService(ctx, p, c, "scheduler", roomy)
	return &ours{p: p, c: c, service: s}, err
}

func (o *ours) memory() int64 { return o.service.rss() + o.c.nodes[0].rss() }

func (o *ours) stop() error {
	_, err := o.service.stop()
	return err
}

func (o *ours) arm(ctx context.Context, n int) error {
	return o.create(ctx, n, func(i int) *schedulerv1.CreateRequest {
		return create("armed-"+strconv.Itoa(i), &schedulerv1.Rule{At: farAway})
	})
}

// fire makes as many schedules as fire that often a second, their phases spread
// evenly, and looks at what they do once all are there.
func (o *ours) fire(ctx context.Context, p plan) ([]fired, error) {
	n := int(interval.Seconds()) * p.due
	err := o.create(ctx, n, func(i int) *schedulerv1.CreateRequest {
		phase := time.Unix(0, 0).Add(interval * time.Duration(i) / time.Duration(n)).UTC()
		return create("due-"+strconv.Itoa(i), &schedulerv1.Rule{Every: interval.String(), Anchor: phase.Format(time.RFC3339Nano)})
	})
	if err != nil {
		return nil, err
	}
	from := time.Now().Add(time.Second)
	return collect(ctx, o.c, topology.Events, "evt.AA.load.struck", from, from.Add(p.length), func(h nats.Header) string {
		_, nominal, _ := strings.Cut(h.Get("ce-id"), "@")
		return nominal
	})
}

func create(id string, rule *schedulerv1.Rule) *schedulerv1.CreateRequest {
	return &schedulerv1.CreateRequest{Id: id, Rule: rule, Action: &schedulerv1.Action{
		Action: &schedulerv1.Action_Publish{Publish: &schedulerv1.Publish{Topic: "load", Verb: "struck", Subject: id}},
	}}
}

// create makes schedules, many at once.
func (o *ours) create(ctx context.Context, n int, request func(int) *schedulerv1.CreateRequest) error {
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	defer transport.CloseIdleConnections()
	client := schedulerv1connect.NewSchedulerServiceClient(&http.Client{Transport: transport}, "http://"+o.service.http, withToken(o.service.token))
	ended := make(chan error, callers)
	for caller := range callers {
		go func() {
			var err error
			for i := caller; i < n && err == nil; i += callers {
				_, err = client.Create(ctx, request(i))
				for try := 0; try < 10 && connect.CodeOf(err) == connect.CodeUnavailable; try++ {
					_, err = client.Create(ctx, request(i)) // the same again is the same
				}
			}
			ended <- err
		}()
	}
	var first error
	for range callers {
		if err := <-ended; first == nil {
			first = err
		}
	}
	return first
}

func withToken(token string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+token)
			return next(ctx, r)
		}
	}))
}

// restart stops both and times both until the scheduler is ready.
func (o *ours) restart(ctx context.Context) (time.Duration, error) {
	if _, err := o.service.stop(); err != nil {
		return 0, err
	}
	if err := o.c.again(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := o.c.nodes[0].cmd.Start(); err != nil {
		return 0, err
	}
	if err := o.c.answers(ctx); err != nil { // the scheduler would wait longer between its tries
		return 0, err
	}
	var err error
	o.service, err = startService(ctx, o.p, o.c, "scheduler", roomy)
	return time.Since(began), err
}

// again stops the node and prepares it to be started where it was.
func (c *cluster) again(ctx context.Context) error {
	old := c.nodes[0]
	if _, err := old.stop(); err != nil {
		return err
	}
	n := &program{drained: make(chan struct{})}
	close(n.drained)
	n.cmd = exec.CommandContext(ctx, old.cmd.Path, old.cmd.Args[1:]...)
	n.cmd.Stderr = old.cmd.Stderr
	c.nodes[0] = n
	return nil
}

// answers waits until the node has its streams again.
func (c *cluster) answers(ctx context.Context) error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) { //nolint:forbidigo // polling another process; its resolution is what is reported
		nc, err := nats.Connect(c.url)
		if err == nil {
			_, err = nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+scheduler.Schedules, nil)
			nc.Close()
		}
		if err == nil || time.Since(began) > time.Minute {
			return err
		}
	}
}
