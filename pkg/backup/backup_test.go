package backup_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/backup"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

var plan = backup.Plan{
	Shared: []string{"KV_" + topology.Nonces},
	Documents: []backup.Documents{
		{Stream: topology.Events, Subject: subject.RelayCursors},
		{Stream: "KV_" + topology.RelayCopies, Subject: subject.AllKeys(topology.RelayCopies)},
	},
}

func publish(t *testing.T, b *bus.Bus, subj, data string) uint64 {
	t.Helper()
	ack, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: subj, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func last(t *testing.T, b *bus.Bus, stream, subj string) string {
	t.Helper()
	s, err := b.JS.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), subj)
	if err != nil {
		t.Fatalf("%s in %s: %v", subj, stream, err)
	}
	return string(m.Data)
}

func epoch(t *testing.T, b *bus.Bus) string {
	t.Helper()
	log, err := topology.EventsState(t.Context(), b.NC)
	if err != nil {
		t.Fatal(err)
	}
	return log.Epoch
}

// deep has cursors inside: one of the log, and one of another stream.
const deep = `{"at":%q,"rules":[{"n":18446744073709551615,"since":%q}]}`

// fill makes a log with a durable, the cursor of a relay that reads the log itself,
// and one of a relay that reads another stream.
func fill(t *testing.T, b *bus.Bus) {
	t.Helper()
	const cursor = `{"epoch":%q,"seq":18446744073709551615,"writer":"w"}` // as large as a number gets
	for i := range 300 {
		publish(t, b, "evt.AA.invoices.created", fmt.Sprintf(`{"n":%d}`, i))
	}
	publish(t, b, subject.RelayCursor("alerts"), fmt.Sprintf(cursor, epoch(t, b)))
	publish(t, b, subject.RelayCursor("scheduler"), fmt.Sprintf(cursor, "another1"))
	publish(t, b, subject.Key(topology.RelayCopies, "alerts"), fmt.Sprintf(cursor, epoch(t, b)))
	publish(t, b, subject.Key(topology.RelayCopies, "note"), "no document")
	publish(t, b, subject.Key(topology.RelayCopies, "deep"), fmt.Sprintf(deep, event.Cursor{Epoch: epoch(t, b), Seq: 7}, event.Cursor{Epoch: "another1", Seq: 7}))
	if _, err := b.JS.CreateOrUpdateConsumer(t.Context(), topology.Events, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
}

// is compares a restored platform with what fill has made.
func is(t *testing.T, b *bus.Bus, before string) {
	t.Helper()
	now := epoch(t, b)
	if now == before || len(now) != topology.EpochLength {
		t.Errorf("the epoch is %q, and was %q", now, before)
	}
	const cursor = `{"epoch":%q,"seq":18446744073709551615,"writer":"w"}`
	for where, want := range map[[2]string]string{
		{topology.Events, "evt.AA.invoices.created"}:                                `{"n":299}`,
		{topology.Events, subject.RelayCursor("alerts")}:                            fmt.Sprintf(cursor, now),
		{topology.Events, subject.RelayCursor("scheduler")}:                         fmt.Sprintf(cursor, "another1"),
		{"KV_" + topology.RelayCopies, subject.Key(topology.RelayCopies, "alerts")}: fmt.Sprintf(cursor, now),
		{"KV_" + topology.RelayCopies, subject.Key(topology.RelayCopies, "note")}:   "no document",
		{"KV_" + topology.RelayCopies, subject.Key(topology.RelayCopies, "deep")}:   fmt.Sprintf(deep, event.Cursor{Epoch: now, Seq: 7}, event.Cursor{Epoch: "another1", Seq: 7}),
	} {
		if got := last(t, b, where[0], where[1]); got != want {
			t.Errorf("%v: %s, want %s", where, got, want)
		}
	}
	if _, err := b.JS.Consumer(t.Context(), topology.Events, "reader"); err != nil {
		t.Errorf("the durable: %v", err)
	}
	// A service that starts finds everything as it wants it.
	report, err := topology.Ensure(t.Context(), b.JS, topology.Platform(topology.Options{}), topology.Options{})
	if err != nil || len(report.Created) > 0 || report.Epochs[topology.Events] != now {
		t.Errorf("%+v %v", report, err)
	}
}

func take(t *testing.T, b *bus.Bus) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	if m, err := backup.Take(t.Context(), backup.Options{NC: b.NC, Dir: dir, Plan: plan}); err != nil {
		t.Fatalf("%+v %v", m, err)
	}
	return dir
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	from := bustest.Start(t).Bus()
	fill(t, from)
	dir := take(t, from)
	to := bustest.Start(t, bustest.Bare()).Bus()
	if _, err := backup.Restore(t.Context(), backup.Options{NC: to.NC, Dir: dir, Plan: plan}, 0); err != nil {
		t.Fatal(err)
	}
	is(t, to, epoch(t, from))
}

// From three servers to three, and from three to one.
func TestCluster(t *testing.T) {
	t.Parallel()
	from := bustest.Cluster(t, 3, bustest.Topology(func(o *topology.Options) { o.Replicas = 3 })).Bus()
	fill(t, from)
	dir := take(t, from)
	before := epoch(t, from)

	one := bustest.Start(t, bustest.Bare()).Bus()
	if _, err := backup.Restore(t.Context(), backup.Options{NC: one.NC, Dir: dir, Plan: plan}, 0); err == nil {
		t.Error("three copies on one server")
	}
	if left, err := one.JS.AccountInfo(t.Context()); err != nil || left.Streams > 0 {
		t.Errorf("what was refused left %+v %v", left, err)
	}
	if _, err := backup.Restore(t.Context(), backup.Options{NC: one.NC, Dir: dir, Plan: plan}, 1); err != nil {
		t.Fatal(err)
	}
	is(t, one, before)

	nodes := bustest.Cluster(t, 3, bustest.Bare())
	bustest.Eventually(t, time.Minute, "the servers elect a leader", func() bool {
		_, err := nodes.Bus().JS.AccountInfo(t.Context())
		return err == nil
	})
	if _, err := backup.Restore(t.Context(), backup.Options{NC: nodes.Bus().NC, Dir: dir, Plan: plan}, 0); err != nil {
		t.Fatal(err)
	}
	s, err := nodes.Bus().JS.Stream(t.Context(), topology.Events)
	if err != nil || s.CachedInfo().Config.Replicas != 3 {
		t.Errorf("%+v %v", s, err)
	}
}

// Publishers may go on; a service that works spoils the backup, and it leaves nothing.
func TestUnsteady(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	fill(t, b)
	while := func(subj string) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = b.JS.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: []byte("x")})
			}
		}()
		return func() { cancel(); <-done }
	}
	for _, row := range []struct {
		who, subj string
		code      fault.Code
	}{
		{"a publisher", "evt.AA.invoices.created", ""},
		{"a signed request", subject.Key(topology.Nonces, "a.b"), ""},
		{"a relay into the log", subject.RelayCursor("scheduler"), fault.BackupUnsteady},
		{"a service", subject.Dead("x", "y"), fault.BackupUnsteady},
	} {
		dir := filepath.Join(t.TempDir(), "backup")
		stop := while(row.subj)
		_, err := backup.Take(t.Context(), backup.Options{NC: b.NC, Dir: dir, Plan: plan})
		stop()
		if got := fault.CodeOf(err); err != nil && got != row.code || err == nil && row.code != "" {
			t.Errorf("%s: %v, want %q", row.who, err, row.code)
		}
		left, err := filepath.Glob(dir + "*")
		if err != nil || (len(left) > 0) != (row.code == "") {
			t.Errorf("%s: left %v", row.who, left)
		}
	}
}

// A restore that was killed leaves the memory of the streams, which comes first, and
// not EVENTS, which comes last: nothing starts on that.
func TestNothingStartsOnHalfARestore(t *testing.T) {
	t.Parallel()
	from := bustest.Start(t).Bus()
	fill(t, from)
	dir := take(t, from)
	to := bustest.Start(t, bustest.Bare()).Bus()
	if _, err := backup.Restore(t.Context(), backup.Options{NC: to.NC, Dir: dir, Plan: plan}, 0); err != nil {
		t.Fatal(err)
	}
	var streams []string
	for name := range to.JS.StreamNames(t.Context()).Name() {
		if name != topology.Events && name != topology.Memory {
			streams = append(streams, name)
		}
	}
	for _, name := range append([]string{topology.Events}, streams...) { // backwards, as if it had been killed earlier and earlier
		if err := to.JS.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if _, err := topology.Ensure(t.Context(), to.JS, topology.Platform(topology.Options{}), topology.Options{}); fault.CodeOf(err) != fault.StreamLost {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
