package main

import (
	"context"
	"fmt"
	"time"
)

// measureIdle opens windows and then leaves them alone: what one costs.
func measureIdle(ctx context.Context, p plan) ([]figure, error) {
	all, err := inEachKind(ctx, p, idle)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d windows, ", p.windows)
	return []figure{
		compared(name+"opened and subscribed per second", "%.0f", all, func(r run) float64 { return r.perSecond }),
		compared(name+"KiB RSS each", "%.1f", all, func(r run) float64 { return r.perWindow / 1024 }),
		compared(name+"idle, CPU us per second each", "%.2f", all, func(r run) float64 { return r.idle }),
	}, nil
}

// idle is one run of it.
func idle(ctx context.Context, p plan, f *front) (run, error) {
	// Once up and down, so that what grows only once is not counted.
	windows, err := openWindows(ctx, f, 100, userOf)
	closeWindows(windows)
	if err != nil {
		return run{}, err
	}
	time.Sleep(time.Second) //nolint:forbidigo // they are forgotten
	empty, began := f.server.rss(), time.Now()
	windows, err = openWindows(ctx, f, p.windows, userOf)
	defer closeWindows(windows)
	if err != nil {
		return run{}, err
	}
	r := run{perSecond: float64(p.windows) / time.Since(began).Seconds()}
	time.Sleep(time.Second) //nolint:forbidigo // what opening them left is done
	used := f.server.cpu()
	time.Sleep(p.length) //nolint:forbidigo // nothing happens, which is measured
	r.idle = float64((f.server.cpu() - used).Microseconds()) / p.length.Seconds() / float64(p.windows)
	r.perWindow = float64(f.server.rss()-empty) / float64(p.windows)
	return r, nil
}
