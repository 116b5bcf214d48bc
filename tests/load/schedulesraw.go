package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/services/scheduler"
)

// rawTimer is the reference: messages that JetStream itself moves from one subject
// to another when their time has come. They live in the scheduler's stream, which
// nobody else uses here.
type rawTimer struct{ c *cluster }

const (
	rawArmed = "sched.raw."
	rawDue   = "due.raw."
	dueAt    = "Due-At" // when it should move, for us
)

func (t *rawTimer) memory() int64 { return t.c.nodes[0].rss() }
func (t *rawTimer) stop() error   { return nil }

func (t *rawTimer) arm(ctx context.Context, n int) error {
	at, err := time.Parse(time.DateOnly, farAway)
	if err != nil {
		return err
	}
	return t.publish(ctx, n, func(i int) (string, time.Time) { return "armed-" + strconv.Itoa(i), at })
}

func (t *rawTimer) fire(ctx context.Context, p plan) ([]fired, error) {
	n := int(p.length.Seconds() * float64(p.due))
	// It is known beforehand that they are stored long before the first is due.
	from := time.Now().Add(time.Second + time.Duration(n)*20*time.Microsecond)
	err := t.publish(ctx, n, func(i int) (string, time.Time) {
		return "due-" + strconv.Itoa(i), from.Add(p.length * time.Duration(i) / time.Duration(n))
	})
	if err != nil {
		return nil, err
	}
	return collect(ctx, t.c, scheduler.Schedules, rawDue+"*", from, from.Add(p.length), func(h nats.Header) string { return h.Get(dueAt) })
}

func (t *rawTimer) publish(ctx context.Context, n int, one func(int) (string, time.Time)) error {
	return fill(ctx, t.c.bus, n, func(i int) *nats.Msg {
		id, at := one(i)
		text := at.UTC().Format(time.RFC3339Nano)
		return &nats.Msg{Subject: rawArmed + id, Data: make([]byte, 60), Header: nats.Header{
			"Nats-Schedule": {"@at " + text}, "Nats-Schedule-Target": {rawDue + id}, dueAt: {text},
		}}
	})
}

func (t *rawTimer) restart(ctx context.Context) (time.Duration, error) {
	if err := t.c.again(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := t.c.nodes[0].cmd.Start(); err != nil {
		return 0, err
	}
	err := t.c.answers(ctx)
	return time.Since(began), err
}

// collect reads what was due from one time until another, whenever it came.
func collect(ctx context.Context, c *cluster, stream, subj string, from, until time.Time, due func(nats.Header) string) ([]fired, error) {
	const grace = 5 * time.Second // for what comes late; later than that is lost to the rate
	select {
	case <-time.After(time.Until(until) + grace):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	consumer, err := c.bus.JS.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subj}, HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	var all []fired
	for {
		batch, err := consumer.FetchNoWait(5000)
		if err != nil {
			return nil, err
		}
		n := 0
		for m := range batch.Messages() {
			n++
			meta, err := m.Metadata()
			if err != nil {
				return nil, err
			}
			at, err := time.Parse(time.RFC3339Nano, due(m.Headers()))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Subject(), err)
			}
			if !at.Before(from) && at.Before(until) {
				all = append(all, fired{at, meta.Timestamp})
			}
		}
		if err := batch.Error(); err != nil {
			return nil, err
		}
		if n == 0 {
			return all, nil
		}
	}
}
