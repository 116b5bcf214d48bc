package objectevent

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// An operation's id is known far beyond the two minutes that JetStream knows one,
// and whoever is at work.
func TestOE6ReportedTwiceRaisedOnce(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		w := &opWorld{t: t, bubble: true, nats: bustest.Start(t, bustest.InProcess(), shapes(topology.Options{}))}
		w.start(w.nats.Bus())
		all := func(again string) {
			w.op("op.AA.invoices.insert.1", `{"n":1}`, "ce-id", "insert-1", "ce-specversion", "1.0", "ce-again", again)
			w.op("op.AA.invoices.trash.2", `{"n":2}`, "ce-id", "trash-2", "ce-specversion", "1.0")
			w.op("op.AA.users.trash.3", `{"n":3}`, "ce-id", "trash-3", "ce-specversion", "1.0")
			w.op("op.AA.users.purge.3", ``, "ce-id", "purge-3", "ce-specversion", "1.0")
			w.op("op.AA.invoices.update.1", `{"n":1}`, "ce-id", "update-1", "ce-specversion", "1.0")
		}
		all("no")
		all("at once")
		if got := len(w.next()); got != 1+2+2+1+1 {
			t.Fatalf("%d events, want 7", got)
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // in a bubble
		all("after ten minutes")
		if got := w.next(); len(got) != 0 {
			t.Errorf("after ten minutes: %v", got)
		}
		w.stop()
		w.start(w.nats.Bus())
		all("after a restart")
		if got := w.next(); len(got) != 0 {
			t.Errorf("after a restart: %v", got)
		}
		if got := w.count("belfry_objectevent_operations_total", "duplicate"); got != 5 {
			t.Errorf("%v duplicates counted since the restart, want 5", got)
		}
		// The trash is as it was: what was purged can be trashed again, by a new id.
		w.op("op.AA.users.trash.3", `{"n":3}`, "ce-id", "trash-3-again", "ce-specversion", "1.0")
		if got := w.next(); len(got) != 2 {
			t.Errorf("a new operation: %v", got)
		}
	})
}

// What is relayed leaves the queue, also when its worker ends before it could take it out.
func TestOE6WhatIsRelayedLeavesTheQueue(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		w := &opWorld{t: t, bubble: true, nats: bustest.Start(t, bustest.InProcess(), shapes(topology.Options{}))}
		w.start(w.nats.Bus())
		queued := func() uint64 {
			s, err := w.nats.Bus().JS.Stream(t.Context(), Operations)
			if err != nil {
				t.Fatal(err)
			}
			return s.CachedInfo().State.Msgs
		}
		events := 0
		for i := range 3 { // one after the other: the first is taken out at once
			w.op("op.AA.invoices.insert."+strconv.Itoa(i), `{}`, "ce-id", "insert-"+strconv.Itoa(i), "ce-specversion", "1.0")
			bustest.Eventually(t, opPatience, "its event is stored", func() bool { events += len(w.soFar()); return events == i+1 })
		}
		w.stop()
		if queued() == 0 {
			t.Fatal("nothing is left for the successor, so this shows nothing")
		}
		w.start(w.nats.Bus())
		if got := w.next(); len(got) != 0 {
			t.Errorf("raised again: %v", got)
		}
	})
}

// The answer says where the events are, and says it again.
func TestOE6TheSameReportHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	const op = `{"id":"7","op":"insert","topic":"invoices","object":"5","new":{"a":1}}`
	status, first := w.report(op)
	if status != http.StatusOK || first["state"] != "raised" {
		t.Fatalf("%d %v", status, first)
	}
	_, again := w.report(op)
	if again["state"] != "duplicate" || fmt.Sprint(again["events"]) != fmt.Sprint(first["events"]) {
		t.Errorf("again: %v, first: %v", again, first)
	}
	if status, body := w.call(http.MethodGet, "/v1/operations/7", w.token(), ""); status != http.StatusOK || member(body, "object") != "5" {
		t.Errorf("GetOperation: %d %s", status, body)
	}
	if status, body := w.call(http.MethodGet, "/v1/operations/7", w.token("publish:users"), ""); status != http.StatusNotFound {
		t.Errorf("GetOperation of another topic: %d %s", status, body)
	}
	if got := w.next(); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
}

// Objects share partitions and partitions share the work; what happens to one object
// stays in its order, whatever spelling of the topic it is reported under.
func TestOE6OrderPerObjectOverEightPartitions(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	const objects, rounds = 40, 25
	for round := range rounds {
		for o := range objects {
			m := nats.NewMsg([]string{"op.AA.orders.", "op.AA.ORDERS."}[round%2] + []string{"update", "insert", "trash", "restore"}[min(round, 1)*round%4] + "." + strconv.Itoa(o))
			m.Header = nats.Header{"ce-id": {fmt.Sprintf("%d-%d", o, round)}, "ce-specversion": {"1.0"}, "ce-origin": {"backend"}}
			m.Data = fmt.Appendf(nil, `{"round":%d}`, round)
			if _, err := w.nats.Bus().JS.PublishMsgAsync(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-w.nats.Bus().JS.PublishAsyncComplete()
	next := map[string]int{}
	for _, e := range w.next() {
		if e.Verb == toDelete {
			continue // it comes before the deleted one of the same operation
		}
		if want := fmt.Sprintf("%s-%d", e.Subject, next[e.Subject]); e.ID != want {
			t.Fatalf("operation %s where %s was to come", e.ID, want)
		}
		next[e.Subject]++
	}
	partitions := map[int]bool{}
	for o, n := range next {
		if partitions[subject.Partition("AA", o)] = true; n != rounds {
			t.Errorf("object %s: %d operations raised events", o, n)
		}
	}
	if len(next) != objects || len(partitions) != subject.Partitions {
		t.Errorf("%d objects in %d partitions", len(next), len(partitions))
	}
}

// The server deals operations to the partition that we look for them in.
func TestOE6PartitionIsTheServers(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t, shapes(topology.Options{}))
	for _, object := range []string{"1", "17", "a.b", "Žižka", "x y", "-", "=", "0123456789abcdef0123456789abcdef"} {
		for _, tenant := range []string{"AA", "a.b", "Ž"} {
			subj, err := subject.Operation(subject.OperationAddress{Tenant: tenant, Topic: "Invoices", Op: "Insert", Object: object})
			if err != nil {
				t.Fatal(err)
			}
			ack, err := s.Bus().JS.Publish(t.Context(), subj, nil)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := s.Bus().JS.Stream(t.Context(), Operations)
			if err != nil {
				t.Fatal(err)
			}
			m, err := stream.GetMsg(t.Context(), ack.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			if want := subject.OperationsOf(subject.Partition(tenant, object)); !subject.Match(want, m.Subject) {
				t.Errorf("%s of %s is stored as %s, not %s", object, tenant, m.Subject, want)
			}
			if a, canonical, ok := subject.ParseOperation(m.Subject); !ok || !canonical || a.Tenant != tenant || a.Object != object {
				t.Errorf("%s reads as %+v", m.Subject, a)
			}
		}
	}
}

// Whoever connects without credentials may report, and hears that it was stored.
func TestOE6AppUsersReportAndAreConfirmed(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	reply, err := nc.Request("op.AA.invoices.insert.17", []byte(`{"n":1}`), opPatience)
	if err != nil || member(string(reply.Data), "stream") != Operations {
		t.Fatalf("the answer is %v, %v", reply, err)
	}
	got := w.next()
	if len(got) != 1 || got[0].Verb != created || got[0].Subject != "17" {
		t.Errorf("stored %v", got)
	}
	var at event.Cursor
	if len(got) == 1 {
		if at, err = event.ParseCursor(got[0].ID); err != nil || at.Seq != 1 {
			t.Errorf("without an id it is known by its place in the queue, not by %q", got[0].ID)
		}
	}
}
