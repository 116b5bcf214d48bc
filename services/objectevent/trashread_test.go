package objectevent

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
)

// lies puts an object of users into the trash.
func (w *opWorld) lies(seq uint64, object string) {
	w.t.Helper()
	where, err := subject.Trash("AA", users, object)
	if err != nil {
		w.t.Fatal(err)
	}
	at := event.Cursor{Epoch: "abcdefgh", Seq: seq}
	m := (&operation{}).move(where, trashRecord{}, at, inTrash)
	if err := w.s.trash.write(w.t.Context(), []*trashMove{m}); err != nil {
		w.t.Fatal(err)
	}
}

// TestOE2ManyObjectsAreLookedForAtOnce: one question to the store tells where a
// thousand objects are, and it tells the same as asking for each.
func TestOE2ManyObjectsAreLookedForAtOnce(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	var ms []relay.Message
	want := map[string]whereabouts{}
	for i := range 1000 {
		object := fmt.Sprintf("A%d", i)
		where, _ := subject.Trash("AA", users, "A"+fmt.Sprint(i))
		want[where] = inUse
		if i%7 == 0 {
			w.lies(uint64(i+1), "A"+fmt.Sprint(i))
			want[where] = inTrash
		}
		ms = append(ms, relay.Message{Subject: "op.AA.Users.trash." + object, At: event.Cursor{Epoch: "abcdefgh", Seq: uint64(5000 + i)}})
	}
	ms = append(ms, relay.Message{Subject: "op.AA.users.insert.A1"}, relay.Message{Subject: "op.AA.users.fly.A1"}, relay.Message{Subject: "x"},
		relay.Message{Subject: "op.A A.users.trash.A1"}, ms[0])
	k := w.s.newWorker(3)
	asked := w.nats.Bus().NC.Stats().OutMsgs
	if err := k.Ahead(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
	if n := w.nats.Bus().NC.Stats().OutMsgs - asked; n > 10 {
		t.Errorf("asked %d times", n)
	}
	got := map[string]whereabouts{}
	for where, r := range k.lookout.records {
		got[where] = r.when(event.Cursor{Epoch: "abcdefgh", Seq: 5000})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("where they are (-want +got):\n%s", d)
	}
}

// TestOE2AReplicaBehindIsNotBelieved: what a replica says counts only if it has come as
// far as what was written when the worker began, and as the worker's own moves.
func TestOE2AReplicaBehindIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	w.lies(1, "1")
	one, _ := subject.Trash("AA", users, "1")
	two, _ := subject.Trash("AA", users, "2")
	filter, _ := subject.TopicTrash("AA", "orders")
	l := newLookout(w.s.trash, 3)
	if has, err := l.has(t.Context(), filter); has || err != nil {
		t.Errorf("anything of orders: %v %v", has, err)
	}
	began := l.newest
	for _, ask := range []func() error{
		func() error { _, err := l.at(t.Context(), one); return err },
		func() error { _, err := l.has(t.Context(), filter); return err },
	} {
		l.newest, l.under = began+7, one // nobody here has that
		if err := ask(); fault.CodeOf(err) != fault.Unavailable || len(l.records) != 0 {
			t.Errorf("believed: %v %v", l.records, err)
		}
	}
	// It asks anew, from a record of its own on.
	for where, want := range map[string]whereabouts{one: inTrash, two: inUse} {
		r, err := l.at(t.Context(), where)
		if got := r.when(event.Cursor{Epoch: "abcdefgh", Seq: 9}); got != want || err != nil {
			t.Errorf("%s: %s %v", where, got, err)
		}
	}
	if l.newest <= began {
		t.Errorf("no record of its own: %d, before %d", l.newest, began)
	}
}

// TestOE2OwnMovesAreKnown: the next operation on an object is decided by what the worker
// itself has just written, whichever replica answers.
func TestOE2OwnMovesAreKnown(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	k := w.s.newWorker(3)
	trashed := w.queued(1, "trash", "1")
	w.stores(k, trashed)
	w.settles(k, trashed)
	where, _ := subject.Trash("AA", users, "42")
	if k.lookout.newest != w.record().revision || k.lookout.under != where {
		t.Errorf("asks for %d under %s", k.lookout.newest, k.lookout.under)
	}
	if _, known := k.lookout.records[where]; known {
		t.Error("what was read before is still believed")
	}
}

// TestOE2ATrashThatDoesNotAnswerAhead: a store that was made by an older program takes
// no questions about many; each is asked about, and decided the same.
func TestOE2ATrashThatDoesNotAnswerAhead(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.stop()
	w.lies(1, "42")
	js := w.nats.Bus().JS
	s, err := js.Stream(t.Context(), Trash)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.AllowDirect = false
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	k := w.s.newWorker(3)
	again, other := w.queued(2, "trash", "2"), w.queued(3, "trash", "3")
	other.Subject += "0"
	if err := k.Ahead(t.Context(), []relay.Message{again, other}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		m    relay.Message
		want string
	}{"again": {again, "refused"}, "another": {other, "deleting, deleted"}} {
		if got := w.decides(k, test.m); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
