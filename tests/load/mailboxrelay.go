package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// measureFanin times the relay into mailboxes: a log that is full when the service
// starts, at one, ten and a hundred mailboxes for each event, beside raw atomic
// batches of as many messages; and one event for ten thousand mailboxes.
func measureFanin(ctx context.Context, p plan) (_ []figure, err error) {
	const n = 10_000
	o, err := openPostOffice(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	if err := o.subscribe(ctx, n, func(i int) []string {
		topics := []string{"all", "hundred" + strconv.Itoa(i/100)}
		if i < 1000 {
			topics = append(topics, "ten"+strconv.Itoa(i/10))
		}
		if i < 100 {
			topics = append(topics, "one"+strconv.Itoa(i))
		}
		return topics
	}); err != nil {
		return nil, err
	}
	var figures []figure
	for _, kind := range []struct {
		name           string
		matches, total int // of one event; copies in a second, about
	}{{"one", 1, 20_000}, {"ten", 10, 60_000}, {"hundred", 100, 60_000}} {
		events := max(int(p.length.Seconds()*float64(kind.total))/kind.matches, 100)
		var ours, reference []float64
		for range p.rounds {
			rate, err := o.catchUp(ctx, events, kind.matches, func(i int) string { return kind.name + strconv.Itoa(i%100) })
			if err != nil {
				return nil, err
			}
			raw, err := relayRaw(ctx, o.bus, 1, events, kind.matches, max(events*kind.matches/900, 1))
			if err != nil {
				return nil, err
			}
			ours, reference = append(ours, rate), append(reference, raw)
		}
		figures = append(figures, numbers(fmt.Sprintf("mailbox relay, %d matches each, events/s", kind.matches), "%.0f", ours, reference))
	}
	var ours, reference []time.Duration
	for range p.rounds {
		before, err := o.copies(ctx)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := o.publish(ctx, 1, func(int) string { return "all" }); err != nil {
			return nil, err
		}
		if err := o.arrived(ctx, before+n); err != nil {
			return nil, err
		}
		ours = append(ours, time.Since(began))
		rate, err := relayRaw(ctx, o.bus, 1, 1, n, 1)
		if err != nil {
			return nil, err
		}
		reference = append(reference, time.Duration(float64(time.Second)/rate))
	}
	return append(figures, durations("mailbox relay, one event to 10000 mailboxes", ours, reference)), nil
}

// catchUp lets the service find a full log when it starts, and answers how many
// events a second it relays.
func (o *postOffice) catchUp(ctx context.Context, events, matches int, topic func(int) string) (rate float64, err error) {
	if _, err := o.service.stop(); err != nil {
		return 0, err
	}
	before, err := o.copies(ctx)
	if err != nil {
		return 0, err
	}
	if err := o.publish(ctx, events, topic); err != nil {
		return 0, err
	}
	started := make(chan error, 1)
	go func() {
		var err error
		o.service, err = startService(ctx, o.plan, o.cluster, "mailbox")
		started <- err
	}()
	// From the first copy on: how long the table takes is not the relay's rate.
	if err := o.arrived(ctx, before+10); err != nil {
		return 0, errors.Join(err, <-started)
	}
	first, err := o.copies(ctx)
	if err != nil {
		return 0, errors.Join(err, <-started)
	}
	began := time.Now()
	err = o.arrived(ctx, before+events*matches)
	took := time.Since(began)
	return float64(events*matches-(first-before)) / float64(matches) / took.Seconds(), errors.Join(err, <-started)
}
