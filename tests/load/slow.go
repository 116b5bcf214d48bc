package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// badWindows never read; there are so many among the others.
const badWindows = 50

// measureSlow compares the age of events at windows that read, alone and among
// windows of the same users that never do.
func measureSlow(ctx context.Context, p plan) ([]figure, error) {
	var alone, among []time.Duration
	for range p.rounds {
		for _, bad := range []int{0, badWindows} {
			r, err := inOne(ctx, p, kindOurs, func(ctx context.Context, p plan, f *front) (run, error) { return amongSlow(ctx, p, f, bad) })
			if err != nil {
				return nil, err
			}
			if bad == 0 {
				alone = append(alone, r.p99)
			} else {
				among = append(among, r.p99)
			}
		}
	}
	f := durations(fmt.Sprintf("one event to %d windows at 20/s, p99 among %d that never read", p.windows, badWindows), among, alone)
	return []figure{f}, nil
}

func amongSlow(ctx context.Context, p plan, f *front, bad int) (run, error) {
	topic := func(int) string { return "all" }
	deaf, err := openWindows(ctx, f, bad, topic)
	defer closeWindows(deaf)
	if err != nil {
		return run{}, err
	}
	for _, w := range deaf {
		if tcp, ok := w.conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // a hint
		}
	}
	windows, err := openWindows(ctx, f, p.windows, topic)
	defer closeWindows(windows)
	if err != nil {
		return run{}, err
	}
	var delivered atomic.Int64
	wait := watch(windows, &delivered)
	sent, big := int64(0), make([]byte, 8<<10)
	for i := range big {
		big[i] = 'x'
	}
	for end := time.Now().Add(p.length); time.Now().Before(end); sent++ {
		data := fmt.Appendf(nil, `{"t":%d,"text":"%s"}`, time.Now().UnixNano(), big)
		if _, err := f.nats.bus.JS.Publish(ctx, "evt.AA.all.created", data); err != nil {
			return run{}, err
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // pacing is the point of this run
	}
	for patience := time.Now().Add(10 * time.Second); delivered.Load() < sent*int64(p.windows) && time.Now().Before(patience); {
		time.Sleep(time.Millisecond) //nolint:forbidigo // waiting for the last frames of another process
	}
	closeWindows(windows)
	wait()
	if got := delivered.Load(); got != sent*int64(p.windows) {
		return run{}, fmt.Errorf("%d deliveries of %d", got, sent*int64(p.windows))
	}
	var r run
	r.p50, r.p99 = percentiles(windows)
	return r, nil
}
