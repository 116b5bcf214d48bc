package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	relaySource = "LOADSOURCE"
	relayTarget = "LOADTARGET"
	relaySpread = 10_000 // subjects of the copies, as many as there might be mailboxes

	cursorSubject = "target.cursor"
)

// measureRelay compares a relay that works off a full source with batches of the
// same messages that nobody has to read, acknowledge, or be sure of.
func measureRelay(ctx context.Context, p plan) (figures []figure, err error) {
	for _, replicas := range []int{1, 3} {
		c, err := startCluster(ctx, p, replicas, topology.Platform)
		if err != nil {
			return nil, err
		}
		for _, effects := range []int{1, 10, 100} {
			f, err := measureEffects(ctx, p, c, replicas, effects)
			if err != nil {
				_ = c.stop(ctx) // the other error says more
				return nil, fmt.Errorf("%d replicas, %d effects: %w", replicas, effects, err)
			}
			figures = append(figures, f)
		}
		if err := c.stop(ctx); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

func measureEffects(ctx context.Context, p plan, c *cluster, replicas, effects int) (figure, error) {
	var ours, reference []float64
	// About as many as are relayed in the time of a run.
	events := max(int(p.length.Seconds()*20_000)/effects, 100)
	if effects > 1 {
		events = max(int(p.length.Seconds()*40_000)/effects, 100)
	}
	for round := range p.rounds {
		name := fmt.Sprintf("load-%d-%d", effects, round)
		rate, batches, err := relayOurs(ctx, c.bus, name, replicas, events, effects)
		if err != nil {
			return figure{}, err
		}
		ours = append(ours, rate)
		if rate, err = relayRaw(ctx, c.bus, replicas, events, effects, batches); err != nil {
			return figure{}, err
		}
		reference = append(reference, rate)
	}
	name := fmt.Sprintf("relay, R%d, %d effects each, events/s", replicas, effects)
	return numbers(name, "%.0f", ours, reference), nil
}

// relayOurs fills the source, lets a relay work it off, and answers the rate and
// how many batches it took.
func relayOurs(ctx context.Context, b *bus.Bus, name string, replicas, events, effects int) (rate float64, batches int, err error) {
	if err := freshStream(ctx, b, relaySource, "source.>", replicas); err != nil {
		return 0, 0, err
	}
	if err := freshStream(ctx, b, relayTarget, "target.>", replicas); err != nil {
		return 0, 0, err
	}
	if err := fillSource(ctx, b, events); err != nil {
		return 0, 0, err
	}
	opened := make(chan time.Time, 1)
	r, err := relay.New(relay.Options{
		Name: name, Bus: b, Source: relaySource, Target: relayTarget, Cursor: cursorSubject,
		Map: func(_ context.Context, m relay.Message) (e relay.Effects, err error) {
			e.Msgs = copiesOf(m.At.Seq, m.Header, m.Data, effects)
			return e, nil
		},
		Open: func(context.Context, event.Cursor) error {
			select {
			case opened <- time.Now():
			default:
			}
			return nil
		},
	})
	if err != nil {
		return 0, 0, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(running) }()
	waiting, tooLong := context.WithTimeout(ctx, 2*time.Minute)
	defer tooLong()
	err = r.Await(waiting, uint64(events))
	took := time.Since(<-opened)
	cancel()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	if err != nil {
		return 0, 0, err
	}
	target, err := b.JS.Stream(ctx, relayTarget)
	if err != nil {
		return 0, 0, err
	}
	// Every batch has written a cursor, and the take-over one more.
	batches = int(target.CachedInfo().State.LastSeq) - events*effects - 1
	return float64(events) / took.Seconds(), batches, nil
}

// relayRaw writes the same messages and cursors in as many batches, one after
// the other, and does nothing else.
func relayRaw(ctx context.Context, b *bus.Bus, replicas, events, effects, batches int) (rate float64, err error) {
	if err := freshStream(ctx, b, relayTarget, "target.>", replicas); err != nil {
		return 0, err
	}
	perBatch := (events + batches - 1) / batches
	header, data, revision := sourceHeader(), stamped(time.Now()), uint64(0)
	began := time.Now()
	for done := 0; done < events; {
		var msgs []*nats.Msg
		for n := 0; n < perBatch && done < events; n++ {
			done++
			msgs = append(msgs, copiesOf(uint64(done), header, data, effects)...)
		}
		for len(msgs) > 0 {
			n := min(len(msgs), bus.MaxBatch-1)
			cursor := &nats.Msg{Subject: cursorSubject, Data: make([]byte, 200), Header: nats.Header{
				"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(revision, 10)}, "Nats-Rollup": {"sub"},
			}}
			ack, err := b.PublishBatch(ctx, append(msgs[:n:n], cursor))
			if err != nil {
				return 0, err
			}
			revision, msgs = ack.Seq, msgs[n:]
		}
	}
	return float64(events) / time.Since(began).Seconds(), nil
}

// copiesOf are an event's effects: the event itself, under other subjects.
func copiesOf(seq uint64, header nats.Header, data []byte, n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = &nats.Msg{Subject: "target.to." + strconv.Itoa((int(seq)*n+i)%relaySpread), Header: header, Data: data}
	}
	return msgs
}

func sourceHeader() nats.Header {
	return nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"00000000-0000"}, "ce-source": {"/load"}, "ce-type": {"load.created"},
		"ce-time": {time.Now().UTC().Format(time.RFC3339Nano)}, "ce-tenant": {"AA"}, "ce-topic": {"load"}, "ce-verb": {"created"},
	}
}

// fillSource stores the events that a relay is to work off.
func fillSource(ctx context.Context, b *bus.Bus, events int) error {
	header, data := sourceHeader(), stamped(time.Now())
	return fill(ctx, b, events, func(int) *nats.Msg {
		return &nats.Msg{Subject: "source.load", Header: header, Data: data}
	})
}

// fill stores n messages as fast as nats.go does, and returns when all are answered.
func fill(ctx context.Context, b *bus.Bus, n int, message func(i int) *nats.Msg) error {
	js, err := jetstream.New(b.NC, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return err
	}
	for i := range n {
		if _, err := js.PublishMsgAsync(message(i), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freshStream makes a stream anew, shaped like a mailbox's.
func freshStream(ctx context.Context, b *bus.Bus, name, subjects string, replicas int) error {
	_ = b.JS.DeleteStream(ctx, name) // of the round before, if any
	_, err := b.JS.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{subjects}, Replicas: replicas, AllowAtomicPublish: true, AllowRollup: true,
	})
	return err
}
