package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

func options(pending int) bus.ConsumeOptions {
	return bus.ConsumeOptions{
		Stream: topology.Events,
		Consumer: jetstream.ConsumerConfig{
			Durable: "test", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "evt.>", MaxAckPending: pending,
		},
		MaxAttempts: 3, Backoff: []time.Duration{time.Millisecond},
	}
}

// consumption is a running Consume and what its handler was given.
type consumption struct {
	seen   chan string
	cancel context.CancelFunc
	done   chan error
}

func consume(t *testing.T, b *bus.Bus, o bus.ConsumeOptions, h bus.Handler) consumption {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := consumption{make(chan string, 100), cancel, make(chan error, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.done <- b.Consume(ctx, o, func(ctx context.Context, m jetstream.Msg) error {
			c.seen <- string(m.Data())
			return h(ctx, m)
		})
	}()
	t.Cleanup(func() { cancel(); <-finished })
	return c
}

func (c consumption) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-c.seen:
		return s
	case err := <-c.done:
		t.Fatalf("consume ended: %v", err)
	case <-time.After(wait):
		t.Fatal("nothing came")
	}
	return ""
}

func (c consumption) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, b *bus.Bus, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: []byte(body), Header: nats.Header{"ce-id": {body}, nats.MsgIdHdr: {"AA/x/" + body}}}
		if _, err := b.JS.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until nothing of the durable is unanswered.
func settled(t *testing.T, b *bus.Bus) {
	t.Helper()
	bustest.Eventually(t, wait, "all answered", func() bool {
		c, err := b.JS.Consumer(t.Context(), topology.Events, "test")
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
}

// With one message at a time, a failed one holds back those behind it.
func TestConsumeRetriesInOrder(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	put(t, b, "0", "1", "2")
	failed := false
	c := consume(t, b, options(1), func(_ context.Context, m jetstream.Msg) error {
		if string(m.Data()) == "1" && !failed {
			failed = true
			return fault.New(fault.Unavailable, "not now")
		}
		return nil
	})
	var got []string
	for range 4 {
		got = append(got, c.next(t))
	}
	if d := cmp.Diff([]string{"0", "1", "1", "2"}, got); d != "" {
		t.Fatal(d)
	}
	settled(t, b)
	c.stop(t)
}

func TestConsumeGivesUpIntoDeadLetters(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	put(t, b, "invalid", "poison", "panic", "good")
	c := consume(t, b, options(0), func(_ context.Context, m jetstream.Msg) error {
		switch string(m.Data()) {
		case "invalid":
			return fault.Field(fault.InvalidEvent, "type", "must not be empty")
		case "poison":
			return errors.New("secret detail")
		case "panic":
			panic("boom")
		}
		return nil
	})
	for range 1 + 3 + 3 + 1 {
		c.next(t)
	}
	settled(t, b)
	c.stop(t)

	l, err := topology.EventsState(t.Context(), b.NC)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := b.JS.Stream(t.Context(), topology.DeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	for seq, want := range map[string]struct{ body, reason, attempts string }{
		"0000000000000001": {"invalid", "invalid_event: type: must not be empty", "1"},
		"0000000000000002": {"poison", "internal: internal error", "3"},
		"0000000000000003": {"panic", "internal: internal error", "3"},
	} {
		m, err := dead.GetLastMsgForSubject(t.Context(), "dead.test."+l.Epoch+"-"+seq)
		if err != nil {
			t.Fatalf("%s: %v", want.body, err)
		}
		got := map[string]string{"body": string(m.Data)}
		for k := range m.Header {
			if !strings.HasPrefix(k, "Nats-") { // those of the direct get
				got[k] = m.Header.Get(k)
			}
		}
		delete(got, bus.HeaderStored)
		if d := cmp.Diff(map[string]string{
			"body": want.body, "ce-id": want.body, bus.HeaderMsgID: "AA/x/" + want.body, bus.HeaderReason: want.reason,
			bus.HeaderAttempts: want.attempts, bus.HeaderSubject: "evt.AA.invoices.created", bus.HeaderStream: topology.Events,
			bus.HeaderConsumer: "test", bus.HeaderCursor: l.Epoch + "-" + seq,
		}, got); d != "" {
			t.Errorf("%s: %s", want.body, d)
		}
	}
	if info, err := dead.Info(t.Context()); err != nil || info.State.Msgs != 3 {
		t.Fatalf("%+v, %v", info.State, err)
	}
}

func TestDeadLetterTwiceIsOnce(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	letter := bus.Letter{Consumer: "relay", Stream: topology.Events, Subject: "evt.AA.a.b", Data: []byte("x"), Reason: errors.New("x")}
	letter.At.Epoch, letter.At.Seq = "abcdefgh", 7
	for range 2 {
		if err := b.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := b.JS.Stream(t.Context(), topology.DeadLetters); err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Fatalf("%v, %v", s, err)
	}
}

func TestConsumerComesBack(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := bustest.Start(t, bustest.Registry(registry)).Bus()
	put(t, b, "0")
	c := consume(t, b, options(1), func(context.Context, jetstream.Msg) error { return nil })
	c.next(t)
	settled(t, b)
	if err := b.JS.DeleteConsumer(t.Context(), topology.Events, "test"); err != nil {
		t.Fatal(err)
	}
	put(t, b, "1")
	// The new durable starts at the beginning: deliveries are at least once.
	if got := []string{c.next(t), c.next(t)}; !cmp.Equal(got, []string{"0", "1"}) {
		t.Fatal(got)
	}
	n, err := testutil.GatherAndCount(registry, "belfry_consumer_recreated_total")
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	settled(t, b)
	c.stop(t)
}

func TestConsumeDrains(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	put(t, b, "0", "1", "2")
	release := make(chan struct{})
	c := consume(t, b, options(0), func(ctx context.Context, _ jetstream.Msg) error {
		<-release
		return ctx.Err() // the message in hand may finish
	})
	c.next(t)
	c.cancel()
	close(release)
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
	// What was fetched and not handled comes at once, not after the AckWait.
	rest := consume(t, b, options(0), func(context.Context, jetstream.Msg) error { return nil })
	got := []string{rest.next(t), rest.next(t)}
	if slices.Sort(got); !cmp.Equal(got, []string{"1", "2"}) {
		t.Fatal(got)
	}
	settled(t, b)
	rest.stop(t)
}

func TestConsumeSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	put(t, s.Bus(), "0")
	c := consume(t, s.Bus(), options(1), func(context.Context, jetstream.Msg) error { return nil })
	c.next(t)
	settled(t, s.Bus())
	s.Restart()
	put(t, s.Bus(), "1")
	if got := c.next(t); got != "1" {
		t.Fatal(got)
	}
	settled(t, s.Bus())
	c.stop(t)
}

func TestConsumeRefuses(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	limited, gone, auto := options(1), options(1), options(1)
	limited.Consumer.MaxDeliver = 3
	auto.Consumer.AckPolicy = jetstream.AckAllPolicy
	gone.Stream = "GONE"
	for code, o := range map[fault.Code][]bus.ConsumeOptions{
		fault.InvalidConfig: {{}, limited, auto}, fault.StreamLost: {gone},
	} {
		for _, o := range o {
			if err := b.Consume(t.Context(), o, nil); fault.CodeOf(err) != code {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

// TestConsumeWorkers: a handler that hangs holds up nobody but itself.
func TestConsumeWorkers(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	o := options(16)
	o.Workers = 2
	hang := make(chan struct{})
	c := consume(t, b, o, func(_ context.Context, m jetstream.Msg) error {
		if string(m.Data()) == "0" {
			<-hang
		}
		return nil
	})
	for i := range 5 {
		if _, err := b.JS.Publish(t.Context(), "evt.AA.x.y", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		c.next(t)
	}
	close(hang)
	c.cancel()
	if err := <-c.done; err != nil {
		t.Error(err)
	}
}
