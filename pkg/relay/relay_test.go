package relay_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/topology"
)

const wait = 2 * time.Minute

// streams adds SOURCE and TARGET to the platform.
func streams(s *topology.Spec) {
	s.Streams = append(s.Streams,
		jetstream.StreamConfig{Name: "SOURCE", Subjects: []string{"src.>"}, MaxConsumers: 100},
		jetstream.StreamConfig{Name: "TARGET", Subjects: []string{"dst.>"}, AllowAtomicPublish: true, MaxConsumers: 100},
	)
}

func options(b *bus.Bus) relay.Options {
	return relay.Options{
		Name: "copy", Bus: b, Source: "SOURCE", Target: "TARGET", Cursor: "dst.cursor",
		Map: func(_ context.Context, m relay.Message) (relay.Effects, error) {
			return relay.Effects{Msgs: []*nats.Msg{{Subject: "dst.m", Data: m.Data}}}, nil
		},
	}
}

func start(t *testing.T, o relay.Options) *relay.Relay {
	t.Helper()
	r, err := relay.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func put(t *testing.T, b *bus.Bus, subj string, from, to int) (last uint64) {
	t.Helper()
	for i := from; i < to; i++ {
		ack, err := b.JS.Publish(t.Context(), subj, fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		last = ack.Sequence
	}
	return last
}

// stored are the bodies under a subject of a stream, in order, as its leader
// has them.
func stored(t *testing.T, b *bus.Bus, stream, subj string) (bodies []string) {
	t.Helper()
	s, err := b.JS.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); ; seq++ {
		m, err := s.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(subj))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		bodies, seq = append(bodies, string(m.Data)), m.Sequence
	}
}

func TestCopies(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	last := put(t, b, "src.a", 0, 500)
	r := start(t, options(b))
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := r.Await(ctx, last); err != nil {
		t.Fatal(err)
	}
	got := stored(t, b, "TARGET", "dst.m")
	if len(got) != 500 {
		t.Fatalf("%d stored", len(got))
	}
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("%s at %d", body, i)
		}
	}
}

// TestAfterBatch: the owner sees every message once, in order, in fewer calls
// than messages, and after the effects are stored.
func TestAfterBatch(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	last := put(t, b, "src.a", 0, 500)
	o := options(b)
	var calls, seen atomic.Uint64
	o.AfterBatch = func(ctx context.Context, ms []relay.Message) error {
		if calls.Add(1) == 1 {
			return errors.New("not this time") // asked again with the same
		}
		s, err := b.JS.Stream(ctx, "TARGET")
		if err != nil {
			return err
		}
		for _, m := range ms {
			if n := seen.Add(1); m.At.Seq != n {
				t.Errorf("message %d as number %d", m.At.Seq, n)
			}
		}
		info, err := s.Info(ctx)
		if err == nil && info.State.LastSeq < ms[len(ms)-1].At.Seq {
			t.Errorf("called before its effects were stored")
		}
		return err
	}
	r := start(t, o)
	bustest.Eventually(t, wait, "all settled", func() bool { return seen.Load() == last })
	if n := calls.Load(); n >= last {
		t.Errorf("%d calls for %d messages", n, last)
	}
	if err := r.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was relayed before has no effects, and AfterCommit is told so, whether its
// twin was in an earlier batch or is in the same one.
func TestOE6WhatIsKnownIsToldApart(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	o, known := options(b), make(chan bool, 10)
	o.Map = func(_ context.Context, m relay.Message) (relay.Effects, error) {
		return relay.Effects{Msgs: []*nats.Msg{{Subject: "dst.m", Data: m.Data}}, Once: &nats.Msg{Subject: "dst.once." + string(m.Data)}}, nil
	}
	o.AfterCommit = func(_ context.Context, m relay.Message) error { known <- m.Known; return nil }
	send := func(body string) {
		if _, err := b.JS.Publish(t.Context(), "src.a", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	send("1")
	r := start(t, o)
	if first, twin := <-known, <-known; first || !twin {
		t.Errorf("in one batch: known %v, %v", first, twin)
	}
	send("1")
	if !<-known {
		t.Error("in a later batch: not known")
	}
	if err := r.Await(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, b, "TARGET", "dst.m"); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}
