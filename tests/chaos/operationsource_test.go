package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/objectevent"
)

const (
	objects = 48                   // over all partitions, half of them users
	again   = 7                    // one report in so many is of an operation reported before
	between = 2 * time.Millisecond // two reports, if the queue keeps up
)

// life is what happens to every object, over and over, and what follows.
var life = []struct {
	op     string
	events []string // of a user "purge" has one more
}{
	{"insert", []string{"created"}},
	{"update", []string{"updated"}},
	{"trash", []string{"deleting", "deleted"}},
	{"status", []string{"status"}}, // of users; others are updated
	{"restore", []string{"created"}},
	{"trash", []string{"deleting", "deleted"}},
	{"purge", nil},
}

// fact is one operation of the source.
type fact struct{ id, topic, op, object string }

// factOf is the n-th: the objects take turns.
func factOf(n int) fact {
	object, step := n%objects, n/objects
	f := fact{id: fmt.Sprintf("%d-%d", object, step), topic: "orders", op: life[step%len(life)].op, object: strconv.Itoa(object)}
	switch {
	case object%2 == 0:
		f.topic = "users"
	case f.op == "status":
		f.op = "update"
	}
	return f
}

// events are what follows from it, as "<verb> <id>".
func (n fact) events(step int) (all []string) {
	verbs := life[step%len(life)].events
	switch {
	case n.op == "purge" && n.topic == "users":
		verbs = []string{"purged"}
	case n.op == "update":
		verbs = []string{"updated"}
	}
	for _, v := range verbs {
		id := n.id
		if v == "deleting" {
			id += "/" + v
		}
		all = append(all, v+" "+id)
	}
	return all
}

// reporter is a source system: it reports one fact after the other, each until the
// queue confirms, and now and then an old one again. No message id helps it.
type reporter struct {
	t      *testing.T
	js     jetstream.JetStream
	random *rand.Rand
	stop   context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	reported int // facts 0 … reported-1 are confirmed
	repeated int
}

func startReporter(t *testing.T, js jetstream.JetStream, seed uint64) *reporter {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reporter{t: t, js: js, random: rand.New(rand.NewPCG(seed, 1)), stop: cancel, done: make(chan struct{})}
	go r.run(ctx)
	t.Cleanup(r.end)
	return r
}

func (r *reporter) run(ctx context.Context) {
	defer close(r.done)
	tick := time.NewTicker(between)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		list := []int{n}
		if n > 0 && r.random.IntN(again) == 0 {
			list = append(list, r.random.IntN(n))
		}
		for _, n := range list {
			// What was begun is brought to its end, also when the test stops it.
			if err := r.report(context.WithoutCancel(ctx), n); err != nil {
				r.t.Errorf("report operation %d: %v", n, err)
				return
			}
		}
		r.mu.Lock()
		r.reported, r.repeated = n+1, r.repeated+len(list)-1
		r.mu.Unlock()
	}
}

func (r *reporter) report(ctx context.Context, n int) (err error) {
	f := factOf(n)
	subj, err := subject.Operation(subject.OperationAddress{Tenant: "AA", Topic: f.topic, Op: f.op, Object: f.object})
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: subj, Data: fmt.Appendf(nil, `{"n":%d,"status":"s"}`, n), Header: nats.Header{"ce-specversion": {"1.0"}, "ce-id": {f.id}}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		once, cancel := context.WithTimeout(ctx, time.Second)
		if _, err = r.js.PublishMsg(once, m, jetstream.WithRetryAttempts(0)); err == nil {
			cancel()
			return nil
		}
		<-once.Done() // an error that came at once would come again
		cancel()
	}
	return err
}

func (r *reporter) soFar() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reported
}

func (r *reporter) end() {
	r.stop()
	<-r.done
}

// count compares, object by object, the events that are stored with those that
// follow from what was reported.
func (w *deciders) count() {
	w.t.Helper()
	n := w.source.soFar()
	want, got := map[string][]string{}, map[string][]string{}
	for i := range n {
		f := factOf(i)
		want[f.object] = append(want[f.object], f.events(i/objects)...)
	}
	stored := 0
	for _, e := range w.stored(subject.Events) {
		stored++
		got[e.Subject] = append(got[e.Subject], e.Verb+" "+e.ID)
	}
	sayf(w.t, "%d operations reported, %d of them again: %d events stored", n, w.source.repeated, stored)
	for object := range want {
		if d := cmp.Diff(want[object], got[object]); d != "" {
			w.t.Errorf("object %s (-want +got):\n%s", object, d)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("%d objects have events, want %d", len(got), len(want))
	}
	if w.t.Failed() {
		w.left()
	}
	s, err := w.bus.JS.Stream(w.t.Context(), topology.DeadLetters)
	if err != nil || s.CachedInfo().State.Msgs > 0 {
		w.t.Errorf("dead letters: %+v, %v", s.CachedInfo().State, err)
	}
}

// left says what the queue still holds, and how far its durables are: an operation
// that has no events and is not here either was lost.
func (w *deciders) left() {
	w.t.Helper()
	s, err := w.bus.JS.Stream(w.t.Context(), objectevent.Operations)
	if err != nil {
		w.t.Error(err)
		return
	}
	state := s.CachedInfo().State
	w.t.Logf("the queue: %d messages, %d to %d", state.Msgs, state.FirstSeq, state.LastSeq)
	for c := range s.ListConsumers(w.t.Context()).Info() {
		w.t.Logf("%s: delivered %d, floor %d, %d pending, %d unacknowledged", c.Name, c.Delivered.Stream, c.AckFloor.Stream, c.NumPending, c.NumAckPending)
	}
}

// stored are the events of EVENTS, in its order.
func (w *deciders) stored(filter string) (all []event.Event) {
	w.t.Helper()
	w.each(filter, func(e event.Event, _ uint64) { all = append(all, e) })
	return all
}

// each visits them, with their sequence.
func (w *deciders) each(filter string, visit func(e event.Event, seq uint64)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	consumer, err := w.bus.JS.OrderedConsumer(ctx, topology.Events, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	if err != nil {
		w.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		w.t.Fatal(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			w.t.Fatalf("read EVENTS: %v", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.t.Fatal(err)
		}
		visit(event.Decode(m.Subject(), m.Headers(), m.Data(), event.Stored{Time: meta.Timestamp}), meta.Sequence.Stream)
		if meta.NumPending == 0 {
			return
		}
	}
}
