package topology_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

const memory = "KV_belfry_topology"

// full is the platform with one of everything that services add.
func full(o topology.Options) topology.Spec {
	s := topology.Platform(o)
	s.Streams = append(s.Streams, jetstream.StreamConfig{
		Name: "SCHEDULES", Subjects: []string{"def.>", "sched.>", "due.>"}, Replicas: o.Replicas,
		AllowMsgSchedules: true, AllowMsgTTL: true, AllowAtomicPublish: true, SubjectDeleteMarkerTTL: time.Hour,
	}, jetstream.StreamConfig{
		Name: "MEMORY", Subjects: []string{"memory.>"}, Replicas: o.Replicas, Storage: jetstream.MemoryStorage, MaxAge: time.Minute,
	})
	s.Consumers = append(s.Consumers, topology.Consumer{Stream: topology.Events, Config: jetstream.ConsumerConfig{
		Durable: "relay", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 500, FilterSubjects: []string{"evt.>"},
	}})
	s.Buckets = append(s.Buckets, jetstream.KeyValueConfig{Bucket: "belfry_notes", Replicas: o.Replicas, LimitMarkerTTL: time.Minute, TTL: time.Hour})
	return s
}

func ensure(t *testing.T, js jetstream.JetStream, s topology.Spec, o topology.Options) topology.Report {
	t.Helper()
	r, err := topology.Ensure(t.Context(), js, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEnsureIsIdempotent(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (jetstream.JetStream, topology.Options){
		"one replica": func(t *testing.T) (jetstream.JetStream, topology.Options) {
			return bustest.Start(t, bustest.Bare()).Bus().JS, topology.Options{Replicas: 1}
		},
		"three replicas": func(t *testing.T) (jetstream.JetStream, topology.Options) {
			return bustest.Cluster(t, 3, bustest.Bare()).Bus().JS, topology.Options{Replicas: 3}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js, o := start(t)
			r := ensure(t, js, full(o), o)
			if d := cmp.Diff([]string{
				memory, topology.Events, topology.DeadLetters, "KV_" + topology.Nonces, "SCHEDULES", "MEMORY",
				"KV_" + topology.Revocations, "KV_" + topology.RelayCopies, "KV_belfry_notes", "EVENTS/relay",
			}, r.Created); d != "" || len(r.Updated) != 0 || !r.Clean() {
				t.Fatalf("%+v\n%s", r, d)
			}
			for range 2 {
				if d := cmp.Diff(topology.Report{Epochs: r.Epochs}, ensure(t, js, full(o), o)); d != "" {
					t.Fatal(d)
				}
			}
		})
	}
}

// Processes that start together agree: each thing is made once, and one epoch
// wins.
func TestEnsureAtOnce(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (jetstream.JetStream, topology.Options){
		"one replica": func(t *testing.T) (jetstream.JetStream, topology.Options) {
			return bustest.Start(t, bustest.Bare()).Bus().JS, topology.Options{Replicas: 1}
		},
		"three replicas": func(t *testing.T) (jetstream.JetStream, topology.Options) {
			return bustest.Cluster(t, 3, bustest.Bare()).Bus().JS, topology.Options{Replicas: 3}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js, o := start(t)
			const processes = 8
			reports, errs := make([]topology.Report, processes), make([]error, processes)
			var wg sync.WaitGroup
			for i := range processes {
				wg.Go(func() { reports[i], errs[i] = topology.Ensure(t.Context(), js, full(o), o) })
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			for _, r := range reports {
				if d := cmp.Diff(reports[0].Epochs, r.Epochs); d != "" || !r.Clean() || len(r.Updated) > 0 {
					t.Errorf("%+v\n%s", r, d)
				}
			}
		})
	}
}

func TestStreamLost(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	js, o := s.Bus().JS, topology.Options{}
	before := ensure(t, js, full(o), o).Epochs[topology.Events]
	if err := js.DeleteStream(t.Context(), topology.Events); err != nil {
		t.Fatal(err)
	}
	if _, err := topology.EventsState(t.Context(), s.Bus().NC); fault.CodeOf(err) != fault.StreamLost {
		t.Fatal(err)
	}
	for range 2 { // asking again does not make it so
		r, err := topology.Ensure(t.Context(), js, full(o), o)
		if fault.CodeOf(err) != fault.StreamLost || len(r.Created) != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	o.RecreateLost = true
	r := ensure(t, js, full(o), o)
	if d := cmp.Diff([]string{topology.Events, "EVENTS/relay"}, r.Created); d != "" || r.Epochs[topology.Events] == before {
		t.Fatalf("%+v\n%s", r, d)
	}
	l, err := topology.EventsState(t.Context(), s.Bus().NC)
	if err != nil || l != (topology.Log{Epoch: r.Epochs[topology.Events], Version: topology.Version, First: 1}) {
		t.Fatalf("%+v, %v", l, err)
	}
	// Once told, the new epoch is the remembered one.
	o.RecreateLost = false
	if d := cmp.Diff(topology.Report{Epochs: r.Epochs}, ensure(t, js, full(o), o)); d != "" {
		t.Fatal(d)
	}
}

// Without its memory the platform goes on, and remembers again.
func TestMemoryLost(t *testing.T) {
	t.Parallel()
	js, o := bustest.Start(t).Bus().JS, topology.Options{}
	if err := js.DeleteStream(t.Context(), memory); err != nil {
		t.Fatal(err)
	}
	if r := ensure(t, js, topology.Platform(o), o); !cmp.Equal(r.Created, []string{memory}) {
		t.Fatalf("%+v", r)
	}
	if err := js.DeleteStream(t.Context(), topology.Events); err != nil {
		t.Fatal(err)
	}
	if _, err := topology.Ensure(t.Context(), js, topology.Platform(o), o); fault.CodeOf(err) != fault.StreamLost {
		t.Fatal(err)
	}
}

func TestReplicasNeedServers(t *testing.T) {
	t.Parallel()
	js := bustest.Start(t, bustest.Bare()).Bus().JS
	o := topology.Options{Replicas: 3}
	if _, err := topology.Ensure(t.Context(), js, topology.Platform(o), o); fault.CodeOf(err) != fault.InvalidConfig {
		t.Fatal(err)
	}
}
