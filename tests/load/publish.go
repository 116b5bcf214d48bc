package main

import (
	"context"
	"fmt"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
)

// publishWindow is how many publishes may be unanswered, for both.
const publishWindow = 4096

// terminated closes when an operator ends the program.
func terminated(ctx context.Context) <-chan struct{} {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx.Done()
}

// measurePublish compares asynchronous durable publishing through our client with
// nats.go's own, which sends the same headers and ids.
func measurePublish(ctx context.Context, p plan) ([]figure, error) {
	run, err := startBelfry(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = run.stop() }() // measured elsewhere
	var ours, reference []float64
	for round := range p.rounds {
		rate, err := publishOurs(ctx, run.nats, p.length, round)
		if err != nil {
			return nil, err
		}
		ours = append(ours, rate)
		if rate, err = publishRaw(ctx, run.nats, p.length, round); err != nil {
			return nil, err
		}
		reference = append(reference, rate)
	}
	a, b := median(ours), median(reference)
	return []figure{{"durable publish, async, events/s", fmt.Sprintf("%.0f", a), fmt.Sprintf("%.0f", b), fmt.Sprintf("%.2f", a/b), ""}}, nil
}

func publishOurs(ctx context.Context, url string, length time.Duration, round int) (float64, error) {
	c, err := client.Connect(ctx, url, client.Options{MaxPending: publishWindow})
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(ctx) }() // flushed below
	data, began, n := stamped(time.Now()), time.Now(), 0
	for ; time.Since(began) < length; n++ {
		ev := event.Event{
			ID: "o" + strconv.Itoa(round) + "-" + strconv.Itoa(n), Source: "/load",
			Tenant: "AA", Topic: "load", Verb: "created", Data: data,
		}
		if _, err := c.PublishAsync(ctx, ev); err != nil {
			return 0, err
		}
	}
	if err := c.Flush(ctx); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func publishRaw(ctx context.Context, url string, length time.Duration, round int) (float64, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return 0, err
	}
	data, began, n := stamped(time.Now()), time.Now(), 0
	for ; time.Since(began) < length; n++ {
		id := "r" + strconv.Itoa(round) + "-" + strconv.Itoa(n)
		m := &nats.Msg{Subject: "evt.AA.load.created", Data: data, Header: nats.Header{
			"Nats-Msg-Id":        {"AA//load/" + id},
			"ce-specversion":     {"1.0"},
			"ce-id":              {id},
			"ce-source":          {"/load"},
			"ce-type":            {"load.created"},
			"ce-time":            {time.Now().UTC().Format(time.RFC3339Nano)},
			"ce-datacontenttype": {"application/json"},
			"ce-tenant":          {"AA"},
			"ce-topic":           {"load"},
			"ce-verb":            {"created"},
		}}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
			return 0, err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
