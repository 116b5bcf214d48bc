package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

// plan is what to measure.
type plan struct {
	belfry  string        // path of the program
	windows int           // open windows
	rate    int           // publishes per second of the latency run
	length  time.Duration // of each timed run
	rounds  int           // the median of this many counts
}

// figure is one measured line.
type figure struct {
	name, ours, reference, ratio string
}

func main() {
	var p plan
	only := flag.String("only", "", "measure only this: start, publish, latency, fanout, relay, tokens")
	serve := flag.String("serve", "", "be a reference server: start, prepared (internal)")
	natsURL := flag.String("nats", "", "NATS of the reference server (internal)")
	flag.StringVar(&p.belfry, "belfry", "bin/belfry", "the program to measure")
	flag.IntVar(&p.windows, "n", 1000, "open windows")
	flag.IntVar(&p.rate, "rate", 3000, "publishes per second of the latency run")
	flag.DurationVar(&p.length, "for", 3*time.Second, "length of a timed run")
	flag.IntVar(&p.rounds, "rounds", 3, "rounds; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	switch *serve {
	case "":
		err = measure(ctx, p, *only)
	case "start":
		err = serveStart(ctx)
	case "prepared":
		err = servePrepared(ctx, *natsURL)
	default:
		err = fmt.Errorf("there is no reference server %q", *serve)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, p plan, only string) error {
	fmt.Printf("machine: %s, %d cores, %s\n", cpuName(), runtime.NumCPU(), runtime.Version())
	fmt.Printf("medians of %d rounds, %s each; %d windows\n\n", p.rounds, p.length, p.windows)
	const line = "%-46s  %10s  %10s  %6s\n"
	fmt.Printf(line, "figure", "ours", "reference", "ratio")
	for _, m := range []struct {
		name string
		run  func(context.Context, plan) ([]figure, error)
	}{
		{"start", measureStart},
		{"publish", measurePublish},
		{"latency", measureLatency},
		{"fanout", measureFanout},
		{"relay", measureRelay},
		{"tokens", measureTokens},
	} {
		if only != "" && only != m.name {
			continue
		}
		figures, err := m.run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			fmt.Printf(line, f.name, f.ours, f.reference, f.ratio)
		}
	}
	return nil
}

// cpuName is the processor as Linux names it.
func cpuName() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
