package objectevent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
)

// queued is an operation of the queue that no relay has seen.
func (w *opWorld) queued(seq uint64, op, id string) relay.Message {
	return relay.Message{
		Subject: "op.3.AA.users." + op + ".42", Header: nats.Header{"ce-specversion": {"1.0"}, "ce-id": {id}},
		Data: []byte(`{"status":"x"}`), At: event.Cursor{Epoch: "abcdefgh", Seq: seq},
	}
}

// decides asks a worker about an operation: the verbs that follow, or the code.
func (w *opWorld) decides(k *worker, m relay.Message) string {
	w.t.Helper()
	e, err := k.Map(w.t.Context(), m)
	if err != nil {
		return string(fault.CodeOf(err))
	}
	var verbs []string
	for _, m := range e.Msgs {
		d := event.Decode(m.Subject, m.Header, m.Data, event.Stored{})
		verb := d.Verb
		if d.Frm != nil && !*d.Frm {
			verb += " silently"
		}
		verbs = append(verbs, verb)
	}
	return strings.Join(verbs, ", ")
}

// TestOE2WhoTakesOverDecidesTheSame: a worker ends before its events are stored, and
// another behind them, before it has moved the object. Whoever is next decides as they
// did, and moves what they have not.
func TestOE2WhoTakesOverDecidesTheSame(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	first, second := w.s.newWorker(3), w.s.newWorker(3)

	trashed, status, restored := w.queued(1, "trash", "1"), w.queued(2, "status", "2"), w.queued(3, "restore", "3")
	for name, k := range map[string]*worker{"first": first, "next": second} {
		if got := w.decides(k, trashed); got != "deleting, deleted" {
			t.Errorf("trash, by the %s worker: %s", name, got)
		}
	}
	if r := w.record(); r.revision != 0 {
		t.Errorf("moved before anything is stored: %+v", r)
	}

	// The second has stored it, and ends.
	w.stores(second, trashed)
	third := w.s.newWorker(3)
	w.settles(third, trashed)
	if !third.trashy[topicKey("AA", users)] {
		t.Error("its topic still counts as one without trash")
	}
	record := w.record()
	if record.At != trashed.At || record.ID != "1" || record.Before != inUse || record.After != inTrash {
		t.Errorf("the object was not moved: %+v", record)
	}
	w.settles(second, trashed) // it wakes up
	if again := w.record(); again != record {
		t.Errorf("the record was written again: %+v, before %+v", again, record)
	}
	if got := w.decides(third, status); got != "status silently" {
		t.Errorf("status: %s", got)
	}
	w.stores(third, status)
	w.settles(third, status)
	if got := w.decides(third, restored); got != "created silently" {
		t.Errorf("restore: %s", got)
	}
	w.stores(third, restored)
	fourth := w.s.newWorker(3)
	w.settles(fourth, status)
	w.settles(fourth, restored)
	w.settles(third, restored) // it wakes up, and so does the first
	w.settles(second, trashed)
	if got := w.decides(fourth, w.queued(4, "status", "4")); got != "status" {
		t.Errorf("status after the restore: %s", got)
	}
}

// TestOE6AnIdUsedAgainMovesNothing: the receipt under an operation's id keeps another
// operation of that id from having events, and from moving its object.
func TestOE6AnIdUsedAgainMovesNothing(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.op("op.AA.users.insert.42", `{"n":1}`, "ce-id", "x", "ce-specversion", "1.0")
	w.settled()
	w.op("op.AA.users.trash.42", `{"n":2}`, "ce-id", "x", "ce-specversion", "1.0")
	w.op("op.AA.users.trash.43", `{"n":2}`, "ce-id", "x", "ce-specversion", "1.0")
	w.op("op.AA.users.purge.42", `{"n":3}`, "ce-id", "y", "ce-specversion", "1.0")
	var verbs []string
	for _, e := range w.next() {
		verbs = append(verbs, e.Verb)
	}
	if d := cmp.Diff([]string{created, refusedVerb}, verbs); d != "" {
		t.Errorf("raised (-want +got):\n%s", d)
	}
	filter, _ := subject.TopicTrash("AA", users)
	if has, err := newLookout(w.s.trash, 3).has(t.Context(), filter); has || err != nil {
		t.Errorf("something was moved: %v %v", has, err)
	}
}

// stores puts the receipt of an operation into the log, as the relay does.
func (w *opWorld) stores(k *worker, m relay.Message) {
	w.t.Helper()
	e, err := k.Map(w.t.Context(), m)
	if err == nil {
		_, err = w.nats.Bus().JS.PublishMsg(w.t.Context(), e.Once)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// settles tells a worker that an operation is stored.
func (w *opWorld) settles(k *worker, m relay.Message) {
	w.t.Helper()
	if err := k.AfterBatch(w.t.Context(), []relay.Message{m}); err != nil {
		w.t.Fatal(err)
	}
}

// TestOE2NoReceiptIsBelievedWithTheCursorAlone: a replica that has not come so far knows
// neither the receipt of what was relayed, nor that it was relayed.
func TestOE2NoReceiptIsBelievedWithTheCursorAlone(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	first, next := w.s.newWorker(3), w.s.newWorker(3)
	trashed, nothing := w.queued(2, "trash", "1"), w.queued(3, "trash", "2")
	js := w.nats.Bus().JS
	behind := func(why string) {
		if err := next.AfterBatch(t.Context(), []relay.Message{trashed, nothing}); fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", why, err)
		}
		if r := w.record(); r.revision != 0 {
			t.Errorf("%s: moved %+v", why, r)
		}
	}
	behind("neither receipts nor cursor")
	e, err := first.Map(t.Context(), trashed)
	if err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{`{"epoch":"abcdefgh","seq":2}`, `{"epoch":"another1","seq":3}`} {
		if _, err := js.Publish(t.Context(), subject.RelayCursor(relayName(3)), []byte(cursor)); err != nil {
			t.Fatal(err)
		}
		behind(cursor)
	}
	if _, err := js.PublishMsg(t.Context(), e.Once); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject.RelayCursor(relayName(3)), []byte(`{"epoch":"abcdefgh","seq":3}`)); err != nil {
		t.Fatal(err)
	}
	if err := next.AfterBatch(t.Context(), []relay.Message{trashed, nothing}); err != nil {
		t.Fatal(err)
	}
	if r := w.record(); r.After != inTrash || r.ID != "1" {
		t.Errorf("not moved: %+v", r)
	}
}

// TestOE2OneMoveOfAnObjectPerBatch: what would move an object a second time ends the
// batch, and so does a twin; another object does not.
func TestOE2OneMoveOfAnObjectPerBatch(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	k := w.s.newWorker(3)
	trashed := w.queued(1, "trash", "1")
	other := w.queued(2, "trash", "2")
	other.Subject += "0"
	twin, purge := w.queued(3, "trash", "1"), w.queued(4, "purge", "4")
	got := map[string]string{
		"trash": w.decides(k, trashed), "of another object": w.decides(k, other), "its twin": w.decides(k, twin), "purge": w.decides(k, purge),
	}
	want := map[string]string{"trash": "deleting, deleted", "of another object": "deleting, deleted", "its twin": "unavailable", "purge": "unavailable"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("in one batch (-want +got):\n%s", d)
	}
	w.settles(k, trashed)
	if got := w.decides(k, purge); got != "purged" {
		t.Errorf("purge, after the batch: %s", got)
	}
}

// record is the only one of the trash.
func (w *opWorld) record() trashRecord {
	w.t.Helper()
	subj, err := subject.Trash("AA", "users", "42")
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.s.trash.read(w.t.Context(), subj)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// FuzzReadOperation: whatever a stranger sends is an operation, or refused with a
// code that says what is wrong; and what is an operation makes events that are valid.
func FuzzReadOperation(f *testing.F) {
	f.Add("op.AA.invoices.insert.1", `{"a":1}`, "1", "", "")
	f.Add("op.3.AA.users.status.1", `{"new":{"status":1}}`, "1", event.ChangeSchema, "user")
	f.Add("op.AA.x.trash.=41", `{"old":{},"resource":{"version":3}}`, "", event.ChangeSchema, "robot")
	f.Add("op._.x.y.z", "\xff", "\x00", "urn:x", "backend")
	f.Fuzz(func(t *testing.T, subj, data, id, schema, origin string) {
		h := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-dataschema": {schema}, "ce-origin": {origin}}
		at := event.Cursor{Epoch: "abcdefgh", Seq: 7}
		o, err := readOperation(subj, h, []byte(data), event.Stored{Cursor: at})
		if err != nil {
			if !refusal(err) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		r, ok := o.under(inUse).find()
		if !ok || o.lacks(r.needs) != nil {
			return
		}
		if _, err := o.effects(t.Context(), r, at, 1<<20); err != nil && !refusal(err) {
			t.Fatalf("%s of %q: %v", o.name, o.Subject, err)
		}
	})
}

// TestOE6VersionsBeginAnewWithTheObject: an object that was deleted leaves its
// version behind, whoever is at work then; one in the trash keeps it.
func TestOE6VersionsBeginAnewWithTheObject(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	k := w.s.newWorker(3)
	for i, step := range []struct{ op, version, want string }{
		{"insert", "7", "created"},
		{"update", "6", "refused"},
		{"trash", "8", "deleting, deleted"},
		{"new worker", "", ""},
		{"restore", "7", "refused"},
		{"restore", "9", "created silently"},
		{"delete", "10", "deleted"},
		{"insert", "1", "created"},
		{"new worker", "", ""},
		{"trash", "2", "deleting, deleted"},
		{"purge", "3", "purged"},
		{"new worker", "", ""},
		{"insert", "1", "created"},
		{"trash", "2", "deleting, deleted"},
	} {
		if step.op == "new worker" {
			k = w.s.newWorker(3)
			continue
		}
		m := w.queued(uint64(i+1), step.op, step.op+step.version+string(rune('a'+i)))
		m.Header["ce-objectversion"], m.Header["ce-origin"] = []string{step.version}, []string{"backend"}
		if got := w.decides(k, m); got != step.want {
			t.Errorf("%d, %s at version %s: %s, want %s", i, step.op, step.version, got, step.want)
		}
		w.settles(k, m)
	}
}
