package objectevent

import (
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// TestOE3AskedAgainMuchLater, on the real store under fake time: a replica noted a
// question, stored its event and died. Ten minutes later, when JetStream has forgotten
// the event's id, somebody asks again: the event is found, not stored again. The
// verdict holds for its time, and is known for a week.
func TestOE3AskedAgainMuchLater(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		w := newHookWorld(t, func(s *hookSetup) { s.servers = append(s.servers, bustest.InProcess()) })
		id := deletionID("AA", "r1")
		d := Deletion{Tenant: "AA", Topic: "users", Object: "42", Mode: ToTrash, Verdict: Asking, Asked: time.Now(), Until: time.Now().Add(15 * time.Second)}
		_, epoch, err := w.h.since(t.Context(), &d, Deletion{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.h.deletions.put(t.Context(), id, d, 0); err != nil {
			t.Fatal(err)
		}
		e, err := deleting(id, d, &question{})
		if err != nil {
			t.Fatal(err)
		}
		at, err := w.h.storeDeleting(t.Context(), &e, nil, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // what others delete meanwhile
			w.mustBefore(object{"object": "43"})
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // in a bubble
		out := w.mustBefore(object{"requestId": "r1"})
		if !out.GetAllowed() || out.GetDeletionId() != id || out.GetCursor() != at.String() {
			t.Fatalf("%v, the event is at %s", out, at)
		}
		if n := len(w.stored("users", "deleting")); n != 4 {
			t.Fatalf("%d events, not 4", n)
		}
		check := func() fault.Code {
			_, err := w.h.deletions.check(t.Context(), id, "AA", "users", "42", ToTrash, time.Now())
			return fault.CodeOf(err)
		}
		if code := check(); code != "" {
			t.Errorf("an operation at once: %s", code)
		}
		time.Sleep(16 * time.Minute) //nolint:forbidigo // in a bubble
		if code := check(); code != fault.DeletionExpired {
			t.Errorf("an operation after 16 minutes: %s", code)
		}
		stream, err := w.nats.Bus().JS.Stream(t.Context(), "KV_"+DeletionsBucket)
		if err != nil {
			t.Fatal(err)
		}
		noted, err := stream.GetLastMsgForSubject(t.Context(), subject.Key(DeletionsBucket, id))
		if err != nil {
			t.Fatal(err)
		}
		if ttl := noted.Header.Get("Nats-TTL"); ttl != deletionsKept.String() {
			t.Errorf("it is kept for %q, not for %s", ttl, deletionsKept)
		}
	})
}
