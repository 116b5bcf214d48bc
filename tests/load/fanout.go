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

// windowsPerUser is how many windows a user has open where events go to users.
const windowsPerUser = 3

// run is what one timed run saw.
type run struct {
	perSecond  float64       // deliveries, or windows opened
	cpuPerMega float64       // CPU seconds per million deliveries, NATS included
	p50, p99   time.Duration // publish to frame
	perWindow  float64       // bytes
	idle       float64       // CPU microseconds per second and window
}

// measureFanout sends every event to every window, as fast as they come through.
func measureFanout(ctx context.Context, p plan) ([]figure, error) {
	all, err := inEachKind(ctx, p, fanout)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("one event to %d windows, ", p.windows)
	return []figure{
		compared(name+"deliveries/s", "%.0f", all, func(r run) float64 { return r.perSecond }),
		compared(name+"CPU s per million", "%.1f", all, func(r run) float64 { return r.cpuPerMega }),
	}, nil
}

// fanout is one run of it.
func fanout(ctx context.Context, p plan, f *front) (run, error) {
	const ahead = 64                        // events in flight: enough to keep it busy, too few to cut anybody
	p.windows -= p.windows % windowsPerUser // as timed opens them
	return timed(ctx, p, f, func(int) string { return "all" }, func(t *traffic) error {
		for t.goesOn() {
			if t.sent-t.delivered.Load() >= ahead*int64(p.windows) {
				time.Sleep(50 * time.Microsecond) //nolint:forbidigo // the windows are behind
				continue
			}
			if err := t.store("all", int64(p.windows)); err != nil {
				return err
			}
		}
		return nil
	})
}

// userOf is the user of the i-th window, whose name is also the topic it listens to.
func userOf(i int) string { return "u" + strconv.Itoa(i/windowsPerUser) }

// measureUser sends each event to the windows of one user, as fast as they come
// through.
func measureUser(ctx context.Context, p plan) ([]figure, error) {
	all, err := inEachKind(ctx, p, func(ctx context.Context, p plan, f *front) (run, error) {
		const ahead = 512 // events in flight
		return timed(ctx, p, f, userOf, func(t *traffic) error {
			users := max(p.windows/windowsPerUser, 1)
			for n := 0; t.goesOn(); {
				if t.sent-t.delivered.Load() >= ahead*windowsPerUser {
					time.Sleep(20 * time.Microsecond) //nolint:forbidigo // the windows are behind
					continue
				}
				for range 32 {
					if err := t.toUser(p, n%users); err != nil {
						return err
					}
					n++
				}
				if err := t.flush(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("each event to one of %d users, ", p.windows/windowsPerUser)
	return []figure{
		compared(name+"deliveries/s", "%.0f", all, func(r run) float64 { return r.perSecond }),
		compared(name+"CPU s per million", "%.1f", all, func(r run) float64 { return r.cpuPerMega }),
	}, nil
}

// measurePaced sends events to users at a steady rate and reports their age on
// arrival.
func measurePaced(ctx context.Context, p plan) ([]figure, error) {
	all, err := inEachKind(ctx, p, func(ctx context.Context, p plan, f *front) (run, error) {
		return timed(ctx, p, f, userOf, func(t *traffic) error { return t.pace(p, p.rate) })
	})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("to users at %d/s, ", p.rate)
	return []figure{
		compared(name+"p50 ms", "%.2f", all, func(r run) float64 { return milliseconds(r.p50) }),
		compared(name+"p99 ms", "%.2f", all, func(r run) float64 { return milliseconds(r.p99) }),
		compared(name+"CPU s per million", "%.1f", all, func(r run) float64 { return r.cpuPerMega }),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// traffic is what a timed run sends.
type traffic struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	end       time.Time
	sent      int64 // deliveries that are to be expected
	delivered atomic.Int64
}

func (t *traffic) goesOn() bool { return time.Now().Before(t.end) }

// store publishes a durable event on a topic, which so many windows listen to.
func (t *traffic) store(topic string, windows int64) error {
	t.sent += windows
	_, err := t.js.PublishAsync("evt.AA."+topic+".created", stamped(time.Now()), jetstream.WithStallWait(time.Minute))
	return err
}

// toUser sends an event to a user's windows.
func (t *traffic) toUser(p plan, user int) error {
	name := "u" + strconv.Itoa(user)
	if p.durable {
		return t.store(name, windowsPerUser)
	}
	t.sent += windowsPerUser
	return t.nc.PublishMsg(&nats.Msg{Subject: "rt.AA.u." + name, Data: stamped(time.Now()), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"00000000-0000000000000000"}, "ce-source": {"/load"}, "ce-type": {"PERF"},
	}})
}

// flush passes on what the client has collected.
func (t *traffic) flush() error { return t.nc.Flush() }

// pace sends events to all users in turn, so many a second.
func (t *traffic) pace(p plan, rate int) error {
	gap, next, users := time.Second/time.Duration(rate), time.Now(), max(p.windows/windowsPerUser, 1)
	for n := 0; t.goesOn(); n++ {
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait) //nolint:forbidigo // pacing is the point of this run
		}
		next = next.Add(gap)
		if err := t.toUser(p, n%users); err != nil {
			return err
		}
	}
	return nil
}

// timed opens the windows, publishes for the plan's length, waits until all has
// arrived, and answers what was seen.
func timed(ctx context.Context, p plan, f *front, topic func(int) string, publish func(*traffic) error) (run, error) {
	windows, err := openWindows(ctx, f, p.windows/windowsPerUser*windowsPerUser, topic)
	defer closeWindows(windows)
	if err != nil {
		return run{}, err
	}
	t := &traffic{nc: f.nats.bus.NC}
	if t.js, err = jetstream.New(t.nc, jetstream.WithPublishAsyncMaxPending(publishWindow)); err != nil {
		return run{}, err
	}
	wait := watch(windows, &t.delivered)
	p.windows = len(windows)
	before, began := f.cpu(), time.Now()
	t.end = began.Add(p.length)
	if err := publish(t); err != nil {
		return run{}, err
	}
	for patience := time.Now().Add(10 * time.Second); t.delivered.Load() < t.sent && time.Now().Before(patience); {
		time.Sleep(time.Millisecond) //nolint:forbidigo // waiting for the last frames of another process
	}
	took, used := time.Since(began), f.cpu()-before
	closeWindows(windows)
	wait()
	got := t.delivered.Load()
	if got != t.sent {
		return run{}, fmt.Errorf("%d deliveries of %d", got, t.sent)
	}
	r := run{perSecond: float64(got) / took.Seconds(), cpuPerMega: used.Seconds() / float64(max(got, 1)) * 1e6}
	r.p50, r.p99 = percentiles(windows)
	return r, nil
}

func percentiles(windows []*window) (p50, p99 time.Duration) {
	var ages []time.Duration
	for _, w := range windows {
		ages = append(ages, w.ages...)
	}
	if len(ages) == 0 {
		return 0, 0
	}
	slices.Sort(ages)
	return ages[len(ages)/2], ages[len(ages)*99/100]
}

// compared is a line of a figure's medians: ours, prepared and raw.
func compared(name, format string, all map[string][]run, get func(run) float64) figure {
	f := numbers(name, format, pick(all[kindOurs], get), pick(all[kindPrepared], get))
	f.raw = fmt.Sprintf(format, median(pick(all[kindRaw], get)))
	return f
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
	return figure{name, fmt.Sprintf(format, a), fmt.Sprintf(format, b), fmt.Sprintf("%.2f", a/b), ""}
}
