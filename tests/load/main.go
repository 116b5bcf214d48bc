package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plan is what to measure.
type plan struct {
	belfry    string        // path of the program
	gateway   string        // path of the gateway's
	windows   int           // open windows
	rate      int           // publishes per second where they are paced
	durable   bool          // events to users are stored
	mailboxes []int         // how many there are, in one run after the other
	armed     int           // schedules that wait
	due       int           // schedules that fall due per second
	length    time.Duration // of each timed run
	rounds    int           // the median of this many counts
}

// figure is one measured line. raw is a second reference, where there is one.
type figure struct {
	name, ours, reference, ratio, raw string
}

func main() {
	p := plan{mailboxes: []int{100, 10_000}}
	only := flag.String("only", "", "measure only these, separated by commas: "+names())
	serve := flag.String("serve", "", "be a reference server: start, prepared, raw, bare (internal)")
	natsURL := flag.String("nats", "", "NATS of the reference server (internal)")
	flag.StringVar(&p.belfry, "belfry", "bin/belfry", "the program to measure")
	flag.StringVar(&p.gateway, "gateway", "bin/gateway", "the gateway, where it runs on its own")
	flag.IntVar(&p.windows, "n", 1000, "open windows")
	flag.IntVar(&p.rate, "rate", 3000, "publishes per second where they are paced")
	flag.BoolVar(&p.durable, "durable", false, "send events to users through the log, not as real-time events")
	flag.Func("mailboxes", "how `many` mailboxes there are, several separated by commas (default 100,10000)", func(s string) error {
		p.mailboxes = nil
		for text := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < mailboxShare {
				return fmt.Errorf("%q is no number of at least %d", text, mailboxShare)
			}
			p.mailboxes = append(p.mailboxes, n)
		}
		return nil
	})
	flag.IntVar(&p.armed, "armed", 100_000, "schedules that wait")
	flag.IntVar(&p.due, "due", 1000, "schedules that fall due per second")
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
	case "bare":
		err = serveBare(ctx, *natsURL)
	case "prepared", "raw":
		err = serveReference(ctx, *serve, *natsURL)
	case "publisher":
		err = servePublisher(ctx, *natsURL)
	default:
		err = fmt.Errorf("there is no reference server %q", *serve)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// measurements are in the order they are made.
var measurements = []struct {
	name string
	run  func(context.Context, plan) ([]figure, error)
}{
	{"start", measureStart},
	{"publish", measurePublish},
	{"fanout", measureFanout},
	{"user", measureUser},
	{"paced", measurePaced},
	{"idle", measureIdle},
	{"signalr", measureSignalR},
	{"slow", measureSlow},
	{"storm", measureStorm},
	{"relay", measureRelay},
	{"mailbox", measureMailbox},
	{"fanin", measureFanin},
	{"operations", measureOperations},
	{"alerts", measureAlerts},
	{"schedules", measureSchedules},
	{"tokens", measureTokens},
}

func names() string {
	all := make([]string, len(measurements))
	for i, m := range measurements {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}

func measure(ctx context.Context, p plan, only string) error {
	fmt.Printf("machine: %s, %d cores, %s\n", cpuName(), runtime.NumCPU(), runtime.Version())
	fmt.Printf("medians of %d rounds, %s each; %d windows\n\n", p.rounds, p.length, p.windows)
	const line = "%-52s  %10s  %10s  %6s  %10s\n"
	fmt.Printf(line, "figure", "ours", "reference", "ratio", "raw")
	for _, m := range measurements {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		figures, err := m.run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			fmt.Printf(line, f.name, f.ours, f.reference, f.ratio, f.raw)
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
