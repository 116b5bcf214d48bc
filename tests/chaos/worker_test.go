package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	source, target, box = "CHAOS", topology.Events, "BOX"

	partitions = 2

	// What a worker waits for, so short that a round is: a frozen one sleeps
	// longer than all of it.
	pinnedTTL = 3 * time.Second // the least that a relay takes
	ackWait   = 2 * time.Second

	envWorker   = "CHAOS_WORKER" // set: this process is a worker, of that name
	envNATS     = "CHAOS_NATS"
	envPassword = "CHAOS_PASSWORD"
)

// record is the body of every message: the N-th event, the Effect-th of its
// effects, the Copy-th copy of that.
type record struct {
	N      int       `json:"n"`
	Effect int       `json:"effect,omitempty"`
	Copy   int       `json:"copy,omitempty"`
	Since  time.Time `json:"since"` // the message that this follows from is stored since then
}

// effects is how many an event has, none included; copies likewise.
func effects(n int) int        { return n % 4 }
func copies(n, effect int) int { return (n + effect) % 3 }
func partition(n int) int      { return n / 3 % partitions }

func sourceSubject(p int) string { return "chaos." + strconv.Itoa(p) }

func targetSubject(p int) string {
	s, err := subject.Event(subject.Address{Tenant: "AA", Topic: "p" + strconv.Itoa(p), Verb: "created"})
	if err != nil {
		panic(err) // constants
	}
	return s
}

// streams are what the relays work on.
func streams(o topology.Options) topology.Spec {
	spec := topology.Platform(o)
	spec.Streams = append(spec.Streams, jetstream.StreamConfig{
		Name: source, Subjects: []string{"chaos.>"}, Replicas: o.Replicas, Duplicates: 2 * time.Minute,
	}, jetstream.StreamConfig{
		Name: box, Subjects: []string{"box.>"}, Replicas: o.Replicas, AllowAtomicPublish: true, AllowRollup: true,
	})
	return spec
}

// relays are all there are; opened is told when this process becomes the worker
// of one.
func relays(b *bus.Bus, log *slog.Logger, opened func(relay string)) ([]*relay.Relay, error) {
	var all []*relay.Relay
	for i := range partitions + 1 {
		o := relay.Options{
			Name: "partition-" + strconv.Itoa(i), Source: source, Filter: []string{sourceSubject(i)}, Target: target, Map: toEffects,
		}
		if i == partitions {
			o = relay.Options{
				Name: "box", Source: target, Filter: []string{subject.Events}, Target: box, Cursor: "box.cursor", Map: toCopies,
			}
		}
		o.Bus, o.Log, o.PinnedTTL, o.AckWait = b, log, pinnedTTL, ackWait
		o.Backoff = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}
		o.Open = func(context.Context, event.Cursor) error { opened(o.Name); return nil }
		r, err := relay.New(o)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func toEffects(_ context.Context, m relay.Message) (relay.Effects, error) {
	return follow(m, func(r record) (list []record) {
		for i := range effects(r.N) {
			list = append(list, record{N: r.N, Effect: i})
		}
		return list
	}, func(r record) string { return targetSubject(partition(r.N)) })
}

func toCopies(_ context.Context, m relay.Message) (relay.Effects, error) {
	return follow(m, func(r record) (list []record) {
		for i := range copies(r.N, r.Effect) {
			list = append(list, record{N: r.N, Effect: r.Effect, Copy: i})
		}
		return list
	}, func(r record) string { return "box." + strconv.Itoa(r.N%100) })
}

// follow turns one message's record into the messages that follow from it.
func follow(m relay.Message, list func(record) []record, subj func(record) string) (e relay.Effects, err error) {
	var from record
	if err := json.Unmarshal(m.Data, &from); err != nil {
		return e, fault.Wrap(fault.InvalidRequest, err, "not a record")
	}
	for _, r := range list(from) {
		r.Since = m.Stored
		data, err := json.Marshal(r)
		if err != nil {
			return e, err
		}
		e.Msgs = append(e.Msgs, &nats.Msg{Subject: subj(r), Data: data})
	}
	return e, nil
}

// workerMain is the worker process: it works on all relays that it gets until
// SIGTERM, and says on its standard output which those are.
func workerMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := work(ctx, log); err != nil {
		log.Error("worker failed", "err", err)
		return 1
	}
	return 0
}

func work(ctx context.Context, log *slog.Logger) error {
	b, err := connect(ctx, os.Getenv(envNATS), os.Getenv(envPassword), os.Getenv(envWorker), log)
	if err != nil {
		return err
	}
	all, err := relays(b, log, func(relay string) { fmt.Fprintln(os.Stdout, relay) })
	if err != nil {
		return err
	}
	ended := make(chan error, len(all))
	for _, r := range all {
		go func() { ended <- r.Run(ctx) }()
	}
	for range all {
		if err := <-ended; err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/2)
	defer cancel()
	return b.Close(ctx)
}

// connect waits for a node that is still starting.
func connect(ctx context.Context, url, password, name string, log *slog.Logger) (*bus.Bus, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := bus.Connect(ctx, bus.Options{Config: bus.Config{URL: url, User: embed.ServiceUser, Password: password, Name: name}, Log: log})
		if err == nil {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
