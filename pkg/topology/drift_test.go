package topology_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

func config(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func TestWhatDiffersIsUpdated(t *testing.T) {
	t.Parallel()
	js, o := bustest.Start(t).Bus().JS, topology.Options{}
	first := ensure(t, js, full(o), o)
	by := config(t, js, topology.Events)
	by.MaxAge, by.AllowRollup, by.RePublish, by.AllowDirect = time.Hour, true, nil, false
	by.Metadata["operator"] = "note"
	if _, err := js.UpdateStream(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	spec := full(o)
	spec.Consumers[0].Config.MaxAckPending = 7
	r := ensure(t, js, spec, o)
	if d := cmp.Diff(topology.Report{Epochs: first.Epochs, Updated: []topology.Change{
		{Name: topology.Events, Fields: []string{"allow_direct", "allow_rollup_hdrs", "max_age", "republish"}},
		{Name: "EVENTS/relay", Fields: []string{"max_ack_pending"}},
	}}, r); d != "" {
		t.Fatal(d)
	}
	now := config(t, js, topology.Events)
	if now.MaxAge != topology.DefaultEventsMaxAge || now.AllowRollup || now.RePublish == nil || now.Metadata["operator"] != "note" {
		t.Fatalf("%+v", now)
	}
}

func TestWhatCannotBeChangedIsReported(t *testing.T) {
	t.Parallel()
	js, o := bustest.Start(t, bustest.Bare()).Bus().JS, topology.Options{}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: topology.Events, Subjects: []string{"evt.>"}, Storage: jetstream.MemoryStorage, DenyDelete: true, AllowMsgTTL: true,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), topology.Events, jetstream.ConsumerConfig{
		Durable: "relay", AckPolicy: jetstream.AckAllPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	}); err != nil {
		t.Fatal(err)
	}
	r := ensure(t, js, full(o), o)
	if d := cmp.Diff([]topology.Change{
		{Name: topology.Events, Fields: []string{"allow_msg_ttl", "deny_delete", "storage"}},
		{Name: "EVENTS/relay", Fields: []string{"ack_policy", "deliver_policy"}},
	}, r.Drifted); d != "" || r.Clean() || len(r.Epochs[topology.Events]) != topology.EpochLength {
		t.Fatalf("%+v\n%s", r, d)
	}
	// What could be changed was.
	if c := config(t, js, topology.Events); !c.AllowAtomicPublish || c.MaxAge != topology.DefaultEventsMaxAge {
		t.Fatalf("%+v", c)
	}
}

func TestANewerVersionsStreamsAreLeft(t *testing.T) {
	t.Parallel()
	js, o := bustest.Start(t).Bus().JS, topology.Options{}
	newer := config(t, js, topology.Events)
	newer.Metadata[topology.VersionKey] = strconv.Itoa(topology.Version + 1)
	newer.MaxAge = time.Hour
	if _, err := js.UpdateStream(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	r := ensure(t, js, full(o), o)
	if !cmp.Equal(r.Newer, []string{topology.Events}) || len(r.Updated) != 0 || r.Clean() {
		t.Fatalf("%+v", r)
	}
	if c := config(t, js, topology.Events); c.MaxAge != time.Hour || c.Metadata[topology.VersionKey] == strconv.Itoa(topology.Version) {
		t.Fatalf("%+v", c)
	}
}
