package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// paced reports at the rate asked for, and compares how long operations take in the
// second half with the first: a lag that grows would show.
func (c *cluster) paced(ctx context.Context, p plan) (_ []figure, err error) {
	service, err := startService(ctx, p, c, "objectevent")
	if err != nil {
		return nil, err
	}
	defer func() {
		_, stopped := service.stop()
		err = errors.Join(err, stopped)
	}()
	js, err := jetstream.New(c.bus.NC, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return nil, err
	}
	before, err := c.events(ctx)
	if err != nil {
		return nil, err
	}
	const tick = 5 * time.Millisecond
	n := int(p.length.Seconds() * asked)
	began := time.Now()
	for sent := 0; sent < n; {
		due := min(int(float64(asked)*(time.Since(began)+tick).Seconds()), n)
		for ; sent < due; sent++ {
			m := operation("insert", fmt.Sprintf("paced-%d", sent), sent)
			m.Header["ce-time"] = []string{time.Now().UTC().Format(time.RFC3339Nano)}
			if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
				return nil, err
			}
		}
		time.Sleep(tick) //nolint:forbidigo // the pace
	}
	rate := float64(n) / time.Since(began).Seconds()
	if err := c.empty(ctx); err != nil {
		return nil, err
	}
	took, err := c.took(ctx, before, n)
	if err != nil {
		return nil, err
	}
	half := func(of []time.Duration) string {
		of = slices.Clone(of)
		slices.Sort(of)
		return fmt.Sprintf("%.1f / %.1f ms", of[len(of)/2].Seconds()*1e3, of[len(of)*99/100].Seconds()*1e3)
	}
	name := fmt.Sprintf("operations, R1, at %.0f/s, p50 / p99, half 2 | half 1", rate)
	return []figure{{name, half(took[n/2:]), half(took[:n/2]), "", ""}}, nil
}

// took is from each operation's report to its event's being in the log, by the
// clock of this machine.
func (c *cluster) took(ctx context.Context, before uint64, n int) (all []time.Duration, err error) {
	consumer, err := c.bus.JS.OrderedConsumer(ctx, topology.Events, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject.Events}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: before + 1,
	})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for range n {
		m, err := messages.Next()
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		sent, err := time.Parse(time.RFC3339Nano, m.Headers().Get("ce-time"))
		if err != nil {
			return nil, err
		}
		all = append(all, meta.Timestamp.Sub(sent))
	}
	return all, nil
}
