package mailbox

import (
	"fmt"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// bubble runs f with a world in fake time.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	bustest.Bubble(t, func(t *testing.T) { f(t, newWorld(t, bustest.InProcess())) })
}

func TestMB3LockRunsOut(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		r.publish("evt.AA.invoices.created", `1`)
		id := p.must("Peek", nil).text("nextMessageId")
		first := p.must("Receive", fields{"messageId": id, "lockTimeout": 5})
		p.refused("Receive", fields{"messageId": id}, 409, "message_locked")
		if got := p.must("Receive", nil); len(got) != 0 {
			t.Fatalf("a locked message was received: %v", got)
		}
		peeked := p.must("Peek", fields{"timeout": 2})
		if peeked["timedOut"] != true || peeked.number("messageCount") != 1 {
			t.Fatalf("peek where all is locked: %v", peeked)
		}
		// A Peek that waits is answered when the lock ends, not before and not much later.
		began := time.Now()
		if peeked = p.must("Peek", fields{"timeout": 60}); peeked.text("nextMessageId") != id || time.Since(began) > 4*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), peeked)
		}
		p.refused("Confirm", fields{"messageId": id, "lockId": first.text("lockId")}, 409, "lock_lost")
		p.refused("Renew", fields{"messageId": id, "lockId": first.text("lockId")}, 409, "lock_lost")
		second := p.must("Receive", fields{"messageId": id})
		if second.number("deliveryCount") != 2 || second.text("lockId") == first.text("lockId") {
			t.Fatalf("second delivery: %v", second)
		}
		p.refused("Confirm", fields{"messageId": id, "lockId": first.text("lockId")}, 409, "lock_lost")
		p.must("Confirm", fields{"messageId": id, "lockId": second.text("lockId")})
		p.refused("Confirm", fields{"messageId": id, "lockId": first.text("lockId")}, 409, "lock_lost")
		p.refused("Receive", fields{"messageId": id}, 404, "message_unknown")
	})
}

// A confirm may be repeated: after its lock's time, after 99 others, on another
// replica, after a restart. After 100 it is forgotten, and says so.
func TestMB3ConfirmAgain(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		for i := range maxReceipts + 1 {
			r.publish("evt.AA.invoices.created", fmt.Sprint(i))
		}
		data, first := p.next()
		if data != "0" {
			t.Fatalf("received %s first", data)
		}
		p.must("Confirm", first)
		for i := 1; i < maxReceipts; i++ {
			data, c := p.next()
			if data != fmt.Sprint(i) {
				t.Fatalf("received %s as number %d", data, i)
			}
			p.must("Confirm", c)
		}
		pass(2 * time.Minute)
		p.must("Confirm", first)
		r.stop()
		p = p.at(w.start())
		p.must("Confirm", first)
		p.refused("Confirm", fields{"messageId": first["messageId"], "lockId": "1"}, 409, "lock_lost")
		_, last := p.next()
		p.must("Confirm", last)
		p.must("Confirm", last)
		p.refused("Confirm", first, 404, "message_unknown")
	})
}

func TestMB3RenewAndRelease(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		r.publish("evt.AA.invoices.created", `1`)
		id := p.must("Peek", nil).text("nextMessageId")
		got := p.must("Receive", fields{"messageId": id, "lockTimeout": 10})
		lock := fields{"messageId": id, "lockId": got.text("lockId")}
		pass(9 * time.Second)
		p.must("Renew", fields{"messageId": id, "lockId": got.text("lockId"), "lockTimeout": 20})
		pass(19 * time.Second)
		p.refused("Receive", fields{"messageId": id}, 409, "message_locked")
		p.must("Release", fields{"messageId": id, "lockId": got.text("lockId"), "delay": 30})
		p.refused("Confirm", lock, 409, "lock_lost")
		began := time.Now()
		if peeked := p.must("Peek", nil); peeked.text("nextMessageId") != id || time.Since(began) < 29*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), peeked)
		}
		got = p.must("Receive", fields{"messageId": id})
		p.must("Release", fields{"messageId": id, "lockId": got.text("lockId")})
		if peeked := p.must("Peek", fields{"timeout": 0}); peeked.text("nextMessageId") != id {
			t.Fatalf("peek after release: %v", peeked)
		}
	})
}

// Several pollers get different messages, whatever order they confirm in; the
// count has every message that is not confirmed.
func TestMB4SeveralPollers(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		for i := range 5 {
			r.publish("evt.AA.invoices.created", fmt.Sprint(i))
		}
		p.await(5)
		var got []fields
		for i := range 5 {
			m := p.must("Receive", fields{"lockTimeout": 10 + i})
			if dataOf(m) != fmt.Sprint(i) {
				t.Fatalf("poller %d received %s", i, dataOf(m))
			}
			got = append(got, m)
		}
		count := func() int { return p.must("Peek", fields{"timeout": 0}).number("messageCount") }
		if count() != 5 {
			t.Fatalf("count %d with 5 locked", count())
		}
		for n, i := range []int{3, 1, 4} {
			p.must("Confirm", fields{"messageId": got[i]["messageId"], "lockId": got[i]["lockId"]})
			if count() != 4-n {
				t.Fatalf("count %d after %d confirms", count(), n+1)
			}
		}
		pass(11 * time.Second) // 0 is free again, 2 is not
		if m := p.must("Receive", nil); m.text("messageId") != got[0].text("messageId") || m.number("deliveryCount") != 2 {
			t.Fatalf("received %v", m)
		}
		r.publish("evt.AA.invoices.created", `5`)
		p.await(3)
		if m := p.must("Receive", nil); dataOf(m) != "5" {
			t.Fatalf("received %v", m)
		}
	})
}
