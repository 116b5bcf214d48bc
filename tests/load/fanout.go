package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// target is a server whose windows are measured: ours, or a reference beside it.
type target struct {
	addr  string
	pays  []*program // whose CPU time counts
	nats  string
	token string
}

// run is what one timed run saw.
type run struct {
	perSecond  float64       // deliveries
	cpuPerMega float64       // CPU seconds per million deliveries
	p50, p99   time.Duration // publish to frame
	lost       int64
}

// bothTargets starts Belfry and, on the NATS inside it, the prepared server, and
// measures them in turn, each on its own topics.
func bothTargets(ctx context.Context, p plan, one func(context.Context, plan, target) (run, error)) (ours, reference []run, err error) {
	belfry, err := startBelfry(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _, _ = belfry.stop() }() // measured elsewhere
	for range p.rounds {
		r, err := one(ctx, p, target{addr: belfry.http, pays: []*program{belfry}, nats: belfry.nats, token: belfry.token})
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, r)
		raw, err := startSelf(ctx, "-serve", "prepared", "-nats", belfry.nats)
		if err != nil {
			return nil, nil, err
		}
		r, err = one(ctx, p, target{addr: raw.http, pays: []*program{belfry, raw}, nats: belfry.nats})
		if _, stopErr := raw.stop(); err == nil {
			err = stopErr
		}
		if err != nil {
			return nil, nil, err
		}
		reference = append(reference, r)
	}
	return ours, reference, nil
}

// measureLatency paces durable events, each to one window, and reports their age
// on arrival.
func measureLatency(ctx context.Context, p plan) ([]figure, error) {
	ours, reference, err := bothTargets(ctx, p, func(ctx context.Context, p plan, t target) (run, error) {
		return timed(ctx, p, t, func(i int) string { return "w" + strconv.Itoa(i) }, func(js jetstream.JetStream, end time.Time) (int64, error) {
			gap := time.Second / time.Duration(p.rate)
			next, n := time.Now(), 0
			for ; time.Now().Before(end); n++ {
				if wait := time.Until(next); wait > 0 {
					time.Sleep(wait) //nolint:forbidigo // pacing is the point of this run
				}
				next = next.Add(gap)
				subj := "evt.AA.w" + strconv.Itoa(n%p.windows) + ".created"
				if _, err := js.PublishAsync(subj, stamped(time.Now()), jetstream.WithStallWait(time.Minute)); err != nil {
					return 0, err
				}
			}
			return int64(n), nil
		})
	})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("publish to frame at %d/s, ", p.rate)
	return []figure{
		durations(name+"p50", pick(ours, func(r run) time.Duration { return r.p50 }), pick(reference, func(r run) time.Duration { return r.p50 })),
		durations(name+"p99", pick(ours, func(r run) time.Duration { return r.p99 }), pick(reference, func(r run) time.Duration { return r.p99 })),
		numbers(name+"CPU s per million", "%.1f", pick(ours, func(r run) float64 { return r.cpuPerMega }), pick(reference, func(r run) float64 { return r.cpuPerMega })),
	}, nil
}

// measureFanout sends every event to every window, as fast as they come through.
func measureFanout(ctx context.Context, p plan) ([]figure, error) {
	ours, reference, err := bothTargets(ctx, p, func(ctx context.Context, p plan, t target) (run, error) {
		var delivered *atomic.Int64
		ahead := int64(64) // events in flight: enough to keep it busy, too few to cut anybody
		return timedWith(ctx, p, t, func(int) string { return "all" }, func(d *atomic.Int64) { delivered = d }, func(js jetstream.JetStream, end time.Time) (int64, error) {
			var n int64
			for time.Now().Before(end) {
				if n-delivered.Load()/int64(p.windows) >= ahead {
					time.Sleep(50 * time.Microsecond) //nolint:forbidigo // the windows are behind
					continue
				}
				if _, err := js.PublishAsync("evt.AA.all.created", stamped(time.Now()), jetstream.WithStallWait(time.Minute)); err != nil {
					return 0, err
				}
				n++
			}
			return n * int64(p.windows), nil
		})
	})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("one event to %d windows, ", p.windows)
	return []figure{
		numbers(name+"deliveries/s", "%.0f", pick(ours, func(r run) float64 { return r.perSecond }), pick(reference, func(r run) float64 { return r.perSecond })),
		numbers(name+"CPU s per million", "%.1f", pick(ours, func(r run) float64 { return r.cpuPerMega }), pick(reference, func(r run) float64 { return r.cpuPerMega })),
	}, nil
}

func pick[T any](runs []run, get func(run) T) []T {
	values := make([]T, len(runs))
	for i, r := range runs {
		values[i] = get(r)
	}
	return values
}

func numbers(name, format string, ours, reference []float64) figure {
	a, b := median(ours), median(reference)
	return figure{name, fmt.Sprintf(format, a), fmt.Sprintf(format, b), fmt.Sprintf("%.2f", a/b)}
}

func timed(ctx context.Context, p plan, t target, topic func(int) string, publish func(jetstream.JetStream, time.Time) (int64, error)) (run, error) {
	return timedWith(ctx, p, t, topic, func(*atomic.Int64) {}, publish)
}

// timedWith opens the windows, publishes for the plan's length, waits until all
// has arrived, and answers what was seen.
func timedWith(ctx context.Context, p plan, t target, topic func(int) string, counting func(*atomic.Int64), publish func(jetstream.JetStream, time.Time) (int64, error)) (run, error) {
	nc, err := nats.Connect(t.nats)
	if err != nil {
		return run{}, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return run{}, err
	}
	windows, err := openWindows(ctx, t.addr, t.token, p.windows, topic)
	defer closeWindows(windows)
	if err != nil {
		return run{}, err
	}
	var delivered atomic.Int64
	counting(&delivered)
	wait := watch(windows, &delivered)
	before, began := t.cpu(), time.Now()
	expected, err := publish(js, began.Add(p.length))
	if err != nil {
		return run{}, err
	}
	for patience := time.Now().Add(10 * time.Second); delivered.Load() < expected && time.Now().Before(patience); {
		time.Sleep(time.Millisecond) //nolint:forbidigo // waiting for the last frames of another process
	}
	took, used := time.Since(began), t.cpu()-before
	closeWindows(windows)
	wait()
	got := delivered.Load()
	r := run{perSecond: float64(got) / took.Seconds(), cpuPerMega: used.Seconds() / float64(max(got, 1)) * 1e6, lost: expected - got}
	if r.lost != 0 {
		return r, fmt.Errorf("%d of %d deliveries did not arrive", r.lost, expected)
	}
	var ages []time.Duration
	for _, w := range windows {
		ages = append(ages, w.ages...)
	}
	slices.Sort(ages)
	r.p50, r.p99 = ages[len(ages)/2], ages[len(ages)*99/100]
	return r, nil
}

func (t target) cpu() (sum time.Duration) {
	for _, p := range t.pays {
		sum += p.cpu()
	}
	return sum
}
