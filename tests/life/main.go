package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// plan is what to try, and where.
type plan struct {
	chart, namespace, release, mode string
	windows, rate                   int
	sets                            []string
	from                            string   // the chart that is installed first; empty = the same
	fromSets                        []string // values of that one alone
}

func main() {
	p := plan{}
	flag.StringVar(&p.chart, "chart", "charts/belfry", "the chart")
	flag.StringVar(&p.namespace, "namespace", "belfry-life", "namespace to make, and to remove at the end")
	flag.StringVar(&p.release, "release", "live", "name of the release")
	flag.StringVar(&p.mode, "mode", "cluster", "cluster or single")
	flag.IntVar(&p.windows, "windows", 500, "windows to hold open")
	flag.IntVar(&p.rate, "rate", 50, "events per second")
	flag.Func("set", "a value of the chart, `key=value`; repeatable", appendTo(&p.sets))
	flag.StringVar(&p.from, "from", "", "an older chart, to install first and to go back to")
	flag.Func("from-set", "a value of the older chart alone, such as image.tag=…; repeatable", appendTo(&p.fromSets))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := live(ctx, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "life:", err)
		os.Exit(1)
	}
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// step runs one part of the life and prints how long it took.
func step(name string, do func() (note string, err error)) error {
	began := time.Now()
	note, err := do()
	took := time.Since(began).Round(100 * time.Millisecond)
	if err != nil {
		fmt.Printf("%-48s %8s  FAILED\n", name, took)
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%-48s %8s  %s\n", name, took, note)
	return nil
}

// live is the whole life.
func live(ctx context.Context, p plan) (err error) {
	k := &kube{plan: p, ctx: ctx}
	if err := k.prepare(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, k.look())
		}
		_, _ = k.kubectl("delete", "namespace", p.namespace, "--timeout", patience.String()) // tidying up, so that the next life can begin
	}()
	c := &crowd{url: "ws://" + k.service("gateway") + "/v1/ws", nats: "nats://" + k.service("nats") + ":4222", secret: k.secret}
	steps := []struct {
		name string
		do   func() (string, error)
	}{
		{"install, all pods ready", func() (string, error) { return k.install() }},
		{"helm test", func() (string, error) { return "", k.helm("test", p.release) }},
		{fmt.Sprintf("open %d windows, publish %d events/s", p.windows, p.rate), func() (string, error) { return "", c.open(ctx, p.windows, p.rate) }},
		{"upgrade, every pod replaced", func() (string, error) { return k.upgrade() }},
	}
	if p.mode == "cluster" {
		steps = append(steps, []struct {
			name string
			do   func() (string, error)
		}{
			{"a NATS pod and a gateway pod killed, ready again", func() (string, error) { return k.kill() }},
			{"one NATS pod evicted, a second one refused", func() (string, error) { return k.evict() }},
		}...)
	}
	steps = append(steps, []struct {
		name string
		do   func() (string, error)
	}{
		{"rollback", func() (string, error) {
			if err := k.helm("rollback", p.release, "1", "--wait", "--timeout", "5m"); err != nil {
				return "", err
			}
			return "", k.ready()
		}},
		{"count what the windows have", func() (string, error) { return c.count(ctx) }},
		{"uninstall", func() (string, error) { return k.uninstall() }},
	}...)
	for _, s := range steps {
		if err := step(s.name, s.do); err != nil {
			c.close()
			return err
		}
	}
	return nil
}

// lines are those of a command's output that are not empty.
func lines(out string) (all []string) {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
