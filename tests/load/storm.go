package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The storm: a gateway is killed, events go on, it starts again, and all windows
// come back in the same moment, each with a cursor of its own.
const (
	stormTopics = 10  // a window listens to one of them
	stormMissed = 500 // events, of all topics
	stormRate   = 200 // publishes per second, one after the other
)

func measureStorm(ctx context.Context, p plan) ([]figure, error) {
	var took, before, during []time.Duration
	var pages, reads []float64
	for range p.rounds {
		var s storm
		_, err := inOne(ctx, p, kindOurs, func(ctx context.Context, p plan, f *front) (_ run, err error) {
			s, err = stormOnce(ctx, p, f)
			return run{}, err
		})
		if err != nil {
			return nil, err
		}
		took, before, during = append(took, s.took), append(before, s.before), append(during, s.during)
		pages, reads = append(pages, s.pages), append(reads, s.reads)
	}
	name := fmt.Sprintf("%d windows resume at once, ", p.windows)
	limit := func(name, format string, got []float64, most float64) figure {
		return figure{name, fmt.Sprintf(format, median(got)), fmt.Sprintf("<= "+format, most), fmt.Sprintf("%.2f", median(got)/most), ""}
	}
	seconds := make([]float64, len(took))
	for i, d := range took {
		seconds[i] = d.Seconds()
	}
	return []figure{
		limit(name+"all there after s", "%.2f", seconds, 5),
		limit(name+"log reads in flight", "%.0f", reads, 64),
		limit(name+"pages of the log read", "%.0f", pages, float64(p.windows)),
		durations(name+"publish p99, before = reference", during, before),
	}, nil
}

type storm struct {
	took           time.Duration // from ready again to the last window's having everything
	before, during time.Duration // p99 of a publish
	pages, reads   float64
}

func stormOnce(ctx context.Context, p plan, f *front) (s storm, err error) {
	topic := func(i int) string { return "t" + strconv.Itoa(i%stormTopics) }
	windows, err := openWindows(ctx, f, p.windows, topic)
	if err != nil {
		return s, err
	}
	publisher, err := startSelf(ctx, "-serve", "publisher", "-nats", f.nats.url)
	if err != nil {
		return s, err
	}
	calm := time.Now()
	time.Sleep(p.length) //nolint:forbidigo // how long publishes take when nothing happens
	calmOver := time.Now()
	cursors := make([]string, len(windows))
	for i, w := range windows {
		cursors[i] = w.live // that of its subscription: all published since was missed
	}
	closeWindows(windows)
	if err := f.server.cmd.Process.Kill(); err != nil {
		return s, err
	}
	_ = f.server.cmd.Wait()             // it was killed
	last := make([]string, stormTopics) // of each topic
	for i := range stormMissed {
		ack, err := f.nats.bus.JS.Publish(ctx, "evt.AA.t"+strconv.Itoa(i%stormTopics)+".created", stamped(time.Now()))
		if err != nil {
			return s, err
		}
		last[i%stormTopics] = fmt.Sprintf("%016x", ack.Sequence)
	}
	if err := f.start(ctx, p); err != nil {
		return s, err
	}
	began, over := time.Now(), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.reads, s.pages = f.watchReads(over) })
	err = resumeAll(ctx, f, topic, cursors, last)
	s.took = time.Since(began)
	close(over)
	watching.Wait()
	_, stopErr := publisher.stop()
	s.before, s.during = tookBetween(publisher.lines, calm, calmOver), tookBetween(publisher.lines, began, began.Add(s.took))
	return s, errors.Join(err, stopErr)
}

// servePublisher publishes one event after the other, at a steady rate, in a process
// of its own, so that only the servers' business delays it, and prints when each
// was published and how long it took.
func servePublisher(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	out := bufio.NewWriter(os.Stdout)
	defer func() { _ = out.Flush() }() // to our parent, which is there
	tick := time.NewTicker(time.Second / stormRate)
	defer tick.Stop()
	for n, over := 0, terminated(ctx); ; n++ {
		select {
		case <-tick.C:
		case <-over:
			return nil
		}
		began := time.Now()
		if _, err := js.Publish(ctx, "evt.AA.t"+strconv.Itoa(n%stormTopics)+".created", stamped(began)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, began.UnixNano(), time.Since(began).Nanoseconds()); err != nil {
			return err
		}
	}
}

// tookBetween is the 99th percentile of the publishes of a stretch of time.
func tookBetween(lines []string, from, to time.Time) time.Duration {
	var took []time.Duration
	for _, line := range lines {
		var at, nanos int64
		if n, _ := fmt.Sscan(line, &at, &nanos); n == 2 && at >= from.UnixNano() && at < to.UnixNano() {
			took = append(took, time.Duration(nanos))
		}
	}
	return p99(took)
}

// resumeAll brings every window back at once, and returns when each has everything
// up to its topic's last, the sequence of the newest event that was missed.
func resumeAll(ctx context.Context, f *front, topic func(int) string, cursors, last []string) error {
	failed := make(chan error, len(cursors))
	for i := range cursors {
		token, err := f.token(topic(i))
		if err != nil {
			return err
		}
		go func() { failed <- resumeOne(ctx, f.server.http, token, topic(i), cursors[i], last[i%stormTopics]) }()
	}
	var all error
	for range cursors {
		if err := <-failed; err != nil && all == nil {
			all = err
		}
	}
	return all
}

func resumeOne(ctx context.Context, addr, token, topic, cursor, last string) error {
	w, err := dialWindow(ctx, addr, token, topic)
	if err != nil {
		return err
	}
	defer func() { _ = w.conn.Close() }() // done with it
	if err := w.send(`{"resume":{"cursor":"` + cursor + `","subscriptions":[{"topic":"` + topic + `"}]}}`); err != nil {
		return err
	}
	newest := cursor
	for n := 0; ; {
		b, err := w.read()
		if err != nil {
			return fmt.Errorf("after %d events: %w", n, err)
		}
		for line := range bytes.Lines(b) {
			var f struct {
				Cursor string          `json:"cursor"`
				Error  json.RawMessage `json:"error"`
			}
			if err := json.Unmarshal(line, &f); err != nil {
				return err
			}
			switch {
			case f.Error != nil:
				return fmt.Errorf("%s", f.Error)
			case f.Cursor == "":
				continue
			case f.Cursor <= newest:
				return fmt.Errorf("%s after %s", f.Cursor, newest)
			}
			newest, n = f.Cursor, n+1
			if newest[9:] >= last {
				return nil
			}
		}
	}
}

// watchReads looks at the gateway's metrics until stop closes: the most pages of
// the log that were read at once, and how many in all.
func (f *front) watchReads(stop chan struct{}) (most, pages float64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-stop:
			over = true
		}
		most = max(most, f.metric("belfry_gateway_log_reads"))
		pages = f.metric("belfry_gateway_log_pages_total")
	}
	return most, pages
}

// metric is one number of the gateway's metrics.
func (f *front) metric(name string) float64 {
	resp, err := http.Get("http://" + f.admin + "/metrics") //nolint:noctx // our own server
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(value), 64) // Prometheus writes numbers
			return v
		}
	}
	return 0
}

func p99(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}
