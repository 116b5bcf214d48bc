package relay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// maxAge is how long EVENTS keeps a message here.
const maxAge = time.Hour

// aging starts a platform whose EVENTS forgets within the hour. LOG, the
// source, keeps everything for ever: what is relayed twice is seen.
func aging(t *testing.T) *bustest.Server {
	return bustest.Start(t, bustest.InProcess(),
		bustest.Topology(func(o *topology.Options) { o.EventsMaxAge = maxAge }),
		bustest.Spec(func(s *topology.Spec) {
			streams(s)
			s.Streams = append(s.Streams, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.>"}})
		}))
}

// intoEvents relays LOG into EVENTS.
func intoEvents(b *bus.Bus) relay.Options {
	return relay.Options{
		Name: "aging", Bus: b, Source: "LOG", Target: topology.Events, PinnedTTL: 5 * time.Minute, Linger: 50 * time.Millisecond,
		Map: func(_ context.Context, m relay.Message) (relay.Effects, error) {
			return relay.Effects{Msgs: []*nats.Msg{{Subject: "evt.AA.aging.seen", Data: m.Data}}}, nil
		},
	}
}

// log is what has been stored in EVENTS, by sequence: it has to be asked before
// EVENTS forgets.
type log map[uint64]string

func (l log) note(t *testing.T, b *bus.Bus) {
	t.Helper()
	s, err := b.JS.Stream(t.Context(), topology.Events)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); ; seq++ {
		m, err := s.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject("evt.>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		seq = m.Sequence
		l[seq] = string(m.Data)
	}
}

// counts are how often each body was stored.
func (l log) counts() map[string]int {
	n := map[string]int{}
	for _, body := range l {
		n[body]++
	}
	return n
}

// run runs one worker until the source is relayed up to last, and for a while.
func run(t *testing.T, o relay.Options, last uint64, idle time.Duration, seen log, change func(*relay.Relay)) {
	t.Helper()
	r, err := relay.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	within, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	if err := r.Await(within, last); err != nil {
		t.Fatal(err)
	}
	if seen != nil {
		seen.note(t, o.Bus)
	}
	time.Sleep(idle) //nolint:forbidigo // in a bubble
	cancel()
	if err := <-done; err != nil && !relay.IsCrash(err) {
		t.Fatal(err)
	}
}

func times(from, to, n int) map[string]int {
	m := map[string]int{}
	for i := from; i < to; i++ {
		m[fmt.Sprint(i)] = n
	}
	return m
}

// While the relay idles EVENTS forgets everything but the cursor, which is
// written again and again.
func TestCursorOutlivesItsStream(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := aging(t).Bus()
		seen := log{}
		run(t, intoEvents(b), put(t, b, "log.a", 0, 20), 5*maxAge, seen, nil)
		if events := stored(t, b, topology.Events, "evt.>"); len(events) != 0 {
			t.Fatalf("EVENTS still has %q", events)
		}
		if n := len(stored(t, b, topology.Events, subject.RelayCursor("aging"))); n != 1 {
			t.Fatalf("%d cursors", n)
		}
		run(t, intoEvents(b), put(t, b, "log.a", 20, 30), 0, seen, nil)
		if d := cmp.Diff(times(0, 30, 1), seen.counts()); d != "" {
			t.Fatal(d)
		}
	})
}

// The platform was down for longer than EVENTS keeps anything; the cursor is
// gone, its copy is not. That the durable is lost too changes nothing.
func TestCursorForgotten(t *testing.T) {
	for name, lose := range map[string]bool{"durable kept": false, "durable lost": true} {
		bustest.Bubble(t, func(t *testing.T) {
			s := aging(t)
			b := s.Bus()
			seen := log{}
			run(t, intoEvents(b), put(t, b, "log.a", 0, 20), 0, seen, nil)
			if lose {
				if err := b.JS.DeleteConsumer(t.Context(), "LOG", "aging"); err != nil {
					t.Fatal(err)
				}
			}
			s.Stop()
			time.Sleep(2 * maxAge) //nolint:forbidigo // in a bubble
			s.Resume()
			time.Sleep(time.Minute) //nolint:forbidigo // in a bubble: expiry
			if n := len(stored(t, b, topology.Events, ">")); n != 0 {
				t.Fatalf("%s: EVENTS still has %d", name, n)
			}
			run(t, intoEvents(b), put(t, b, "log.a", 20, 30), 0, seen, nil)
			if d := cmp.Diff(times(0, 30, 1), seen.counts()); d != "" {
				t.Fatalf("%s: %s", name, d)
			}
			if d := cmp.Diff(10, len(stored(t, b, topology.Events, "evt.>"))); d != "" {
				t.Fatalf("%s: %s", name, d)
			}
		})
	}
}

// The window that remains: the worker dies between the commit of a batch and
// the copy of its cursor, and nobody runs until EVENTS has forgotten. Then that
// batch alone is relayed again.
func TestTheRemainingWindow(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := aging(t)
		b := s.Bus()
		seen := log{}
		run(t, intoEvents(b), put(t, b, "log.a", 0, 20), 0, seen, nil)
		last := put(t, b, "log.a", 20, 25)
		run(t, intoEvents(b), last, 0, seen, func(r *relay.Relay) {
			r.At(func(_ context.Context, step string) error {
				if step == "committed" {
					return relay.ErrCrash
				}
				return nil
			})
		})
		s.Stop()
		time.Sleep(2 * maxAge) //nolint:forbidigo // in a bubble
		s.Resume()
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble: expiry
		run(t, intoEvents(b), put(t, b, "log.a", 25, 30), 0, seen, nil)
		want := times(0, 30, 1)
		for i := range times(20, 25, 2) {
			want[i] = 2
		}
		if d := cmp.Diff(want, seen.counts()); d != "" {
			t.Fatal(d)
		}
	})
}

// Nobody but a standby runs, and nothing comes: it keeps the cursor young.
func TestStandbyKeepsTheCursor(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := aging(t).Bus()
		last := put(t, b, "log.a", 0, 20)
		run(t, intoEvents(b), last, 0, nil, nil)
		run(t, intoEvents(b), last, 5*maxAge, nil, nil) // nothing to do: it never takes over
		if n := len(stored(t, b, topology.Events, subject.RelayCursor("aging"))); n != 1 {
			t.Fatalf("%d cursors", n)
		}
	})
}
