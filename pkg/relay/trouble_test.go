package relay_test

import (
	"context"
	"fmt"
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
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/topology"
)

func await(t *testing.T, r *relay.Relay, seq uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := r.Await(ctx, seq); err != nil {
		t.Fatal(err, r.Check(ctx))
	}
}

func code(t *testing.T, r *relay.Relay, want fault.Code) {
	t.Helper()
	bustest.Eventually(t, wait, fmt.Sprintf("check says %q", want), func() bool { return fault.CodeOf(r.Check(t.Context())) == want })
}

func TestOptions(t *testing.T) {
	t.Parallel()
	b := &bus.Bus{}
	for field, change := range map[string]func(*relay.Options){
		"name":       func(o *relay.Options) { o.Name = "a.b" },
		"bus":        func(o *relay.Options) { o.Bus = nil },
		"target":     func(o *relay.Options) { o.Target = o.Source },
		"map":        func(o *relay.Options) { o.Map = nil },
		"max_batch":  func(o *relay.Options) { o.MaxBatch = 1001 },
		"pinned_ttl": func(o *relay.Options) { o.PinnedTTL = time.Second },
	} {
		o := options(b)
		change(&o)
		_, err := relay.New(o)
		if fault.CodeOf(err) != fault.InvalidConfig || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The source was lost and made anew, or lost its end: the relay does not guess.
func TestCursorDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"another epoch":  `{"epoch":"someelse","seq":1}`,
		"beyond the end": `{"epoch":"","seq":1000}`,
	} {
		b := bustest.Start(t, bustest.Spec(streams)).Bus()
		s, err := b.JS.Stream(t.Context(), "SOURCE")
		if err != nil {
			t.Fatal(err)
		}
		epoch := s.CachedInfo().Config.Metadata[topology.EpochKey]
		body := strings.Replace(spoil, `"epoch":""`, `"epoch":"`+epoch+`"`, 1)
		if _, err := b.JS.Publish(t.Context(), "dst.cursor", []byte(body)); err != nil {
			t.Fatal(err)
		}
		put(t, b, "src.a", 0, 3)
		r := start(t, options(b))
		code(t, r, fault.EpochMismatch)
		select {
		case <-r.Ready():
			t.Errorf("%s: ready", name)
		default:
		}
		if n := len(stored(t, b, "TARGET", "dst.m")); n != 0 {
			t.Errorf("%s: %d relayed", name, n)
		}
	}
}

func TestStreamLost(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	o := options(b)
	o.Target = "NOWHERE"
	code(t, start(t, o), fault.StreamLost)
	o = options(b)
	o.Name, o.Target = "other", "KV_"+topology.RelayCopies
	code(t, start(t, o), fault.InvalidConfig) // takes no batches
}

// A source that the server empties by itself is refused, whoever made it so.
func TestSourceKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	for _, retention := range []jetstream.RetentionPolicy{jetstream.WorkQueuePolicy, jetstream.InterestPolicy} {
		b := bustest.Start(t, bustest.Spec(func(s *topology.Spec) {
			streams(s)
			for i := range s.Streams {
				if s.Streams[i].Name == "SOURCE" {
					s.Streams[i].Retention = retention
				}
			}
		})).Bus()
		r := start(t, options(b))
		code(t, r, fault.InvalidConfig)
		if err := r.Check(t.Context()); !strings.Contains(err.Error(), "source: stream SOURCE") {
			t.Errorf("%s: %v", retention, err)
		}
		s, err := b.JS.Stream(t.Context(), "SOURCE")
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Consumers; n != 0 {
			t.Errorf("%s: %d consumers, which would take from it", retention, n)
		}
	}
}

// One effect that the target refuses is found among many, and given up alone.
func TestSpoiltBatch(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(func(s *topology.Spec) {
		streams(s)
		for i := range s.Streams {
			if s.Streams[i].Name == "TARGET" {
				s.Streams[i].MaxMsgSize = 4096
			}
		}
	})).Bus()
	last := put(t, b, "src.a", 0, 30)
	o := options(b)
	o.MaxAttempts, o.Backoff = 2, []time.Duration{time.Millisecond}
	o.Map = func(_ context.Context, m relay.Message) (relay.Effects, error) {
		e := relay.Effects{Msgs: []*nats.Msg{{Subject: "dst.m", Data: m.Data}, {Subject: "dst.m", Data: m.Data}}}
		switch number(m) {
		case 7:
			e.Msgs[1].Data = make([]byte, 5000) // too large
		case 19:
			e.Msgs[1].Header = nats.Header{"Nats-Expected-Last-Subject-Sequence": {"99999"}} // never true
		case 23:
			e.Msgs[0].Subject = "nobody.listens.there"
		}
		return e, nil
	}
	await(t, start(t, o), last)
	var want []string
	for i := range 30 {
		if i != 7 && i != 19 && i != 23 {
			want = append(want, fmt.Sprint(i), fmt.Sprint(i))
		}
	}
	if d := cmp.Diff(want, stored(t, b, "TARGET", "dst.m")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"7", "19", "23"}, stored(t, b, topology.DeadLetters, "dead.>")); d != "" {
		t.Error(d)
	}
}

// What is unavailable is waited for, however long, and buries nothing.
func TestUnavailableIsNobodysFault(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams)).Bus()
		began := time.Now()
		o := options(b)
		inner := o.Map
		o.Map = func(ctx context.Context, m relay.Message) (relay.Effects, error) {
			if time.Since(began) < 30*time.Minute {
				return relay.Effects{}, fault.New(fault.Unavailable, "not now")
			}
			return inner(ctx, m)
		}
		last := put(t, b, "src.a", 0, 10)
		r := start(t, o)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		if err := r.Await(ctx, last); err != nil {
			t.Fatal(err)
		}
		if n := len(stored(t, b, topology.DeadLetters, "dead.>")); n != 0 {
			t.Fatalf("%d dead letters", n)
		}
	})
}

// AfterCommit comes after the batch and before the acknowledgement, and nothing
// goes on without it.
func TestAfterCommit(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	last := put(t, b, "src.a", 0, 5)
	o := options(b)
	o.Backoff = []time.Duration{time.Millisecond}
	calls := make(chan string, 100)
	failures := 0
	o.AfterCommit = func(ctx context.Context, m relay.Message) error {
		s, err := b.JS.Stream(ctx, "SOURCE")
		if err != nil {
			return err
		}
		if _, err := s.GetMsg(ctx, m.At.Seq); err != nil {
			return fmt.Errorf("not in the source any more: %w", err)
		}
		if failures++; failures == 3 {
			panic("the third call")
		}
		calls <- string(m.Data)
		return nil
	}
	r := start(t, o)
	await(t, r, last)
	for i := range 5 {
		if got := <-calls; got != fmt.Sprint(i) {
			t.Fatalf("%s after %d", got, i-1)
		}
	}
	bustest.Eventually(t, wait, "everything is acknowledged", func() bool {
		c, err := b.JS.Consumer(t.Context(), "SOURCE", o.Name)
		return err == nil && c.CachedInfo().AckFloor.Stream == last
	})
}

// A worker that stops in peace gives its place to the other one at once.
func TestHandover(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams)).Bus()
		var opened []event.Cursor
		o := options(b)
		o.Open = func(_ context.Context, last event.Cursor) error { opened = append(opened, last); return nil }
		first, err := relay.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- first.Run(ctx) }()
		<-first.Ready()
		if err := first.Await(t.Context(), put(t, b, "src.a", 0, 10)); err != nil {
			t.Fatal(err)
		}
		second := start(t, o)
		<-second.Ready()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := second.Await(t.Context(), put(t, b, "src.a", 10, 20)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("the handover took %s", took)
		}
		if len(opened) != 2 || !opened[0].IsZero() || opened[1].Seq != 10 {
			t.Fatalf("opened at %v", opened)
		}
	})
}

func TestSetAndMetrics(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	registry := prometheus.NewRegistry()
	set, err := relay.NewSet(3, func(i int) relay.Options {
		o := options(b)
		o.Name, o.Filter, o.Cursor = fmt.Sprint("part-", i), []string{fmt.Sprintf("src.%d.>", i)}, fmt.Sprint("dst.cursor.", i)
		o.Registry = registry
		return o
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- set.Run(ctx) }()
	<-set.Ready()
	for i, r := range set.Relays() {
		await(t, r, put(t, b, fmt.Sprintf("src.%d.a", i), 0, 100))
	}
	if err := set.Check(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(stored(t, b, "TARGET", "dst.m")); n != 300 {
		t.Errorf("%d stored", n)
	}
	const relayed = "belfry_relay_messages_total"
	want := "# HELP " + relayed + " Source messages relayed.\n# TYPE " + relayed + " counter\n"
	for i := range 3 {
		want += fmt.Sprintf("%s{relay=\"part-%d\"} 100\n", relayed, i)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), relayed); err != nil {
		t.Error(err)
	}
}

// The consumer's other users: none. A filter changed by a new program is taken.
func TestFilterChanges(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	o := options(b)
	o.Filter = []string{"src.a"}
	await(t, start(t, o), put(t, b, "src.a", 0, 3))
	o.Filter = []string{"src.a", "src.b"}
	o.Name = "copy"
	r := start(t, o)
	<-r.Ready()
	bustest.Eventually(t, wait, "the filter is taken", func() bool {
		c, err := b.JS.Consumer(t.Context(), "SOURCE", "copy")
		return err == nil && cmp.Equal(c.CachedInfo().Config.FilterSubjects, o.Filter)
	})
	await(t, r, put(t, b, "src.b", 3, 6))
}
