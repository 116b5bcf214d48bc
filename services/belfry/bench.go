package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
	"github.com/belfry-events/belfry/proto/belfry/mailbox/v1/mailboxv1connect"
)

// benchName is the tenant and the topic that nobody else has, and the mailbox.
const benchName = "belfry-bench"

// bench is one run of "belfry bench": what to measure, the ways in, and what came out.
type bench struct {
	operator
	within                       time.Duration // each measurement
	events, windows, rate, bytes int
	mailbox                      bool

	// After open.
	run       string // the source of this run's events
	data      []byte // of each
	size      int    // of each, with its headers
	nc        *nats.Conn
	publisher *client.Client
	web       *http.Client
	gateway   gatewayv1connect.GatewayServiceClient
	postbox   mailboxv1connect.MailboxServiceClient
	report    report
}

// report is what --json prints.
type report struct {
	NATS        string   `json:"nats"`
	URL         string   `json:"url"`
	Figures     []figure `json:"figures"`
	Interrupted bool     `json:"interrupted"`
	Left        left     `json:"left"`
}

// figure is one number beside the least that it could be.
type figure struct {
	Name    string  `json:"name"` // such as window_p99
	About   string  `json:"about"`
	Unit    string  `json:"unit"` // ms or events/s
	Belfry  float64 `json:"belfry"`
	Floor   float64 `json:"floor"`
	FloorIs string  `json:"floor_is"`
	Samples int     `json:"samples"` // of Belfry's
}

// left is what stays, until events are too old.
type left struct {
	Tenant string `json:"tenant"`
	Topic  string `json:"topic"`
	Events int    `json:"events"`
	Bytes  int    `json:"bytes"`
}

func newBench(std stdio) *cobra.Command {
	b := &bench{operator: newOperator(std)}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running platform, beside the least it could take",
		Long: `Publish over NATS and over HTTP, and hold windows open, at a platform that runs; print
how long an event takes and how many are acknowledged. Beside each figure is its floor,
measured in turn with it: the same step without Belfry's part, so that a slow network,
disk or neighbour shows in both. The windows are in this process; run it where clients
are, not where the platform is, if the figures shall be theirs.

The events have a tenant and a topic of their own, so that nobody's window shows them.
They stay in the log as long as any event: how many is said at the end. Nothing else
stays but the topic's name and, with --mailbox, a subscriber without mailboxes. Ctrl-C
prints what was measured so far.`,
		Example: `  belfry bench
  belfry bench --windows 1000 --rate 10 --for 30s --mailbox
  BELFRY_TOKEN=… belfry bench --nats-url nats://nats:4222 --url https://events.example.com --tenant AA --json`,
		Args: cobra.NoArgs,
		RunE: b.perform,
	}
	fs := cmd.Flags()
	config.DurationVar(fs, &b.within, "for", 5*time.Second, "how long each measurement takes at most")
	fs.IntVar(&b.events, "events", 20_000, "events to publish as fast as they are acknowledged, twice: by Belfry's client and by the floor's; 0 = leave that out")
	fs.IntVar(&b.windows, "windows", 100, "open windows; 0 = leave that out")
	fs.IntVar(&b.rate, "rate", 20, "events per second to every window")
	fs.IntVar(&b.bytes, "bytes", 256, "data of an event")
	fs.BoolVar(&b.mailbox, "mailbox", false, "measure a mailbox, too: until a Peek that waits is answered, and Receive with Confirm")
	fs.BoolVar(&b.json, "json", false, "print the report as JSON")
	b.remote.tenants = []string{benchName}
	b.remote.flags(cmd, b.set, "nats-url", "nats-user", "nats-password-file", "nats-creds")
	fs.Lookup("tenant").Usage = "`tenant` of the events"
	return cmd
}

// mostDeliveries is what this process can read per second without being what is measured.
const mostDeliveries = 50_000

// check refuses what cannot be meant. Code usage.
func (b *bench) check(cmd *cobra.Command) error {
	for _, n := range []struct {
		flag             string
		value, low, high int
	}{
		{"events", b.events, 0, 1_000_000},
		{"windows", b.windows, 0, 5000},
		{"rate", b.rate, 1, 1000},
		{"bytes", b.bytes, 2, b.set.process.Events.MaxBytes},
	} {
		if n.value < n.low || n.value > n.high {
			return fault.New(fault.UsageError, "--%s: %d is outside %d to %d", n.flag, n.value, n.low, n.high)
		}
	}
	switch {
	case b.within < 100*time.Millisecond || b.within > 10*time.Minute:
		return fault.New(fault.UsageError, "--for: %s is outside 100ms to 10m", b.within)
	case b.windows*b.rate > mostDeliveries:
		return fault.New(fault.UsageError, "--windows times --rate: %d deliveries a second are above %d, more than one process reads unharmed", b.windows*b.rate, mostDeliveries)
	case len(b.remote.tenants) != 1:
		return fault.New(fault.UsageError, "--tenant: name one, the events' own")
	case b.remote.given() != "" && !cmd.Flags().Changed("tenant"):
		return fault.New(fault.UsageError, "--tenant is required with a token that is given: which of its tenants shall the events have?")
	}
	return nil
}

func (b *bench) perform(cmd *cobra.Command, _ []string) error {
	ctx := cmd.Context()
	if _, _, err := b.set.load(cmd); err != nil { // also what check compares with
		return err
	}
	if err := b.check(cmd); err != nil {
		return err
	}
	if err := b.open(ctx, cmd); err != nil {
		return err
	}
	defer b.close(ctx)
	err := b.measure(ctx)
	b.report.Left.Bytes = b.report.Left.Events * b.size
	if b.report.Interrupted = ctx.Err() != nil; b.report.Interrupted {
		err = nil // Ctrl-C is how a long one ends
	}
	if printed := b.print(); printed != nil {
		return printed
	}
	return err
}

// open finds the ways in. An event on each shows whether it may publish.
func (b *bench) open(ctx context.Context, cmd *cobra.Command) error {
	web, url, option, err := b.operator.dial(cmd)
	if err != nil {
		return err
	}
	b.web, b.gateway, b.postbox = web, gatewayv1connect.NewGatewayServiceClient(web, url, option), mailboxv1connect.NewMailboxServiceClient(web, url, option)
	where, err := natsURL(b.set.process.NATS)
	if err != nil {
		return err
	}
	b.run, b.data = "/belfry-bench/"+event.NewID(), noise(b.bytes)
	b.report = report{NATS: bus.Redact(where), URL: url, Left: left{Tenant: b.remote.tenants[0], Topic: benchName}}
	pattern, err := b.raw("begun")
	if err != nil {
		return err
	}
	b.size = pattern.Size()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := b.overHTTP(ctx, "begun", "http"); err != nil {
		return err
	}
	if b.publisher, err = b.set.connect(ctx); err != nil {
		return err
	}
	if b.nc, err = b.set.dial(where, nats.Name(benchName)); err == nil {
		_, err = b.publisher.Publish(ctx, b.event("begun", "nats"))
	}
	if err != nil {
		b.close(ctx)
		return fault.Wrap(fault.CodeOf(err), err, "%s (may this NATS user publish events of tenant %s?)", err, b.report.Left.Tenant)
	}
	return nil
}

func (b *bench) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	_ = b.publisher.Close(ctx) // each step has looked at its own outcome
	if b.nc != nil {
		b.nc.Close()
	}
	b.web.CloseIdleConnections()
}

func (b *bench) measure(ctx context.Context) error {
	for _, step := range []struct {
		about string
		when  bool
		do    func(context.Context) error
	}{
		{"publishing one by one", true, b.oneByOne},
		{fmt.Sprintf("%d windows", b.windows), b.windows > 0, b.toWindows},
		{"a mailbox", b.mailbox, b.toMailbox},
		{fmt.Sprintf("publishing %d events", b.events), b.events > 0, b.atOnce}, // last: what works it off would be in the way of the others
	} {
		if !step.when || ctx.Err() != nil {
			continue
		}
		_, _ = fmt.Fprintf(b.std.err, "%s …\n", step.about) // nobody to tell if this fails
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// add puts a figure's two percentiles into the report, if there is anything.
func (b *bench) add(name, about string, ours, floor ages, floorIs string) {
	if len(ours) == 0 {
		return
	}
	for _, p := range []int{50, 99} {
		b.report.Figures = append(b.report.Figures, figure{
			fmt.Sprintf("%s_p%d", name, p), fmt.Sprintf("%s, p%d", about, p), "ms",
			ours.percentile(p), floor.percentile(p), floorIs, len(ours),
		})
	}
}

func (b *bench) print() error {
	r := b.report
	if b.json {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			_, err = b.std.out.Write(append(text, '\n'))
		}
		return err
	}
	if len(r.Figures) > 0 {
		rows := make([]string, len(r.Figures))
		for i, f := range r.Figures {
			format := "%.2f ms"
			if f.Unit != "ms" {
				format = "%.0f/s"
			}
			rows[i] = fmt.Sprintf("%s\t"+format+"\t"+format+"\t%d\t%s", f.About, f.Belfry, f.Floor, f.Samples, f.FloorIs)
		}
		if err := table(b.std.out, "MEASURED\tBELFRY\tFLOOR\tSAMPLES\tTHE FLOOR IS", rows); err != nil {
			return err
		}
	}
	if r.Interrupted {
		if err := b.operator.print("interrupted: this is what was measured until then"); err != nil {
			return err
		}
	}
	return b.operator.print("NATS at %s, HTTP at %s\n%d events (%d KiB) of tenant %s, topic %s, stay in the log until they are too old (events.max_age)",
		r.NATS, r.URL, r.Left.Events, r.Left.Bytes>>10, r.Left.Tenant, r.Left.Topic)
}

// ages are how long things took.
type ages []time.Duration

// percentile is in milliseconds; 0 of nothing.
func (a ages) percentile(p int) float64 {
	if len(a) == 0 {
		return 0
	}
	slices.Sort(a)
	return float64(a[len(a)*p/100].Nanoseconds()) / 1e6
}
