package mailbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

func TestMB10Batches(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm").subscribe("invoices")
	for i := range 25 {
		r.publish("evt.AA.invoices.created", fmt.Sprint(i))
	}
	p.await(25)
	first := p.must("ReceiveBatch", nil)["messages"].([]any)
	if len(first) != defaultBatch {
		t.Fatalf("%d messages in a batch", len(first))
	}
	rest := p.must("ReceiveBatch", fields{"maxMessages": 100})["messages"].([]any)
	all := append(first, rest...)
	if len(all) != 25 {
		t.Fatalf("%d messages in two batches", len(all))
	}
	items := []any{fields{"messageId": "nothing", "lockId": "x"}}
	for i, m := range all {
		m := fields(m.(map[string]any))
		if dataOf(m) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, dataOf(m))
		}
		items = append(items, fields{"messageId": m["messageId"], "lockId": m["lockId"]})
	}
	items[2] = fields{"messageId": items[2].(fields)["messageId"], "lockId": "other"}
	results := p.must("ConfirmBatch", fields{"items": items})["results"].([]any)
	for i, result := range results {
		code := fields(result.(map[string]any)).text("code")
		if want := map[int]string{0: "message_unknown", 2: "lock_lost"}[i]; code != want {
			t.Errorf("item %d: %v, not %q", i, result, want)
		}
	}
	if n := p.must("Peek", fields{"timeout": 0}).number("messageCount"); n != 1 {
		t.Fatalf("%d messages are left", n)
	}
	if got := p.must("ReceiveBatch", nil)["messages"].([]any); len(got) != 0 {
		t.Fatalf("received %v", got)
	}
}

// A batch ends before it is too large for an answer, or where a message is not for
// this token; what it left out is still there.
func TestMB10BatchEndsEarly(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm", "AA", "BB").subscribe("invoices")
	p.describe("BB", "invoices")
	p.must("Subscribe", fields{"compCode": "BB", "topic": "invoices"})
	large := `"` + strings.Repeat("x", 700<<10) + `"`
	r.publish("evt.AA.invoices.created", large)
	r.publish("evt.AA.invoices.created", large)
	r.publish("evt.BB.invoices.created", `1`)
	p.await(3)
	narrow := &partner{replica: r, tok: r.token("anna", []string{"AA"}), id: p.id}
	for i := range 2 {
		if got := narrow.must("ReceiveBatch", nil)["messages"].([]any); len(got) != 1 {
			t.Fatalf("batch %d has %d messages", i, len(got))
		}
	}
	narrow.refused("ReceiveBatch", nil, 403, "tenant_forbidden")
	if got := p.must("Receive", nil); dataOf(got) != "1" {
		t.Fatalf("received %v", got)
	}
}

// A message that is delivered as often as its subscription allows becomes a dead
// letter, lets those behind it pass, and can be put back.
func TestMB10DeadLetters(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm")
		p.describe("AA", "invoices")
		p.must("Subscribe", fields{"compCode": "AA", "topic": "invoices", "maxDeliveries": 2})
		r.publish("evt.AA.invoices.created", `"poison"`)
		r.publish("evt.AA.invoices.created", `"good"`)
		p.await(2)
		id := p.must("Peek", nil).text("nextMessageId")
		for n := 1; n <= 2; n++ {
			if got := p.must("Receive", fields{"messageId": id, "lockTimeout": 5}); got.number("deliveryCount") != n {
				t.Fatalf("delivery %d: %v", n, got)
			}
			pass(6 * time.Second)
		}
		peeked := p.must("Peek", nil)
		if peeked.text("nextMessageId") == id || peeked.number("messageCount") != 1 {
			t.Fatalf("the spent message is still there: %v", peeked)
		}
		p.refused("Receive", fields{"messageId": id}, 404, "message_unknown")
		letters := p.must("ViewDeadLetters", nil)["deadLetters"].([]any)
		if len(letters) != 1 || fields(letters[0].(map[string]any)).text("messageId") != id {
			t.Fatalf("dead letters: %v", letters)
		}
		sub := p.must("ViewSubscriptions", nil)["subscriptions"].([]any)[0].(map[string]any)
		if fields(sub).number("deadLetterCount") != 1 || fields(sub).number("messageCount") != 1 {
			t.Fatalf("subscription: %v", sub)
		}
		p.refused("ViewDeadLetters", fields{"after": "x"}, 404, "message_unknown")
		// Of before a restore, which gives MAILBOX another epoch, they have ids of before.
		epoch := r.s.epoch
		r.s.epoch = "restored"
		if got := p.must("ViewDeadLetters", fields{"after": id}); len(got["deadLetters"].([]any)) != 0 {
			t.Fatalf("behind the only dead letter: %v", got)
		}
		r.s.epoch = epoch
		if got := p.must("Redrive", fields{"messageIds": []string{id}}); got.number("messageCount") != 1 {
			t.Fatalf("redrive: %v", got)
		}
		if got := p.must("Redrive", nil); got.number("messageCount") != 0 {
			t.Fatalf("second redrive: %v", got)
		}
		for _, want := range []string{`"good"`, `"poison"`} {
			data, confirm := p.next()
			if data != want {
				t.Fatalf("received %s, not %s", data, want)
			}
			p.must("Confirm", confirm)
		}
		p.must("Unsubscribe", fields{"compCode": "AA", "topic": "invoices"})
		if info, err := r.s.copies.info(t.Context(), subject.MailboxOf(p.id)); err != nil || len(info.State.Subjects) > 0 {
			t.Fatalf("left after unsubscribe: %v %v", info.State.Subjects, err)
		}
	})
}

func TestMB10Replay(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		for i := range 3 {
			r.publish("evt.AA.invoices.created", fmt.Sprint(i))
			r.publish("evt.AA.other.created", `"not this"`)
			r.publish("evt.BB.invoices.created", `"nor this"`)
			pass(time.Minute)
		}
		since := time.Now().Add(-150 * time.Second)
		p := r.partner("anna", "crm")
		p.must("Subscribe", fields{"compCode": "AA", "topic": "Invoices"})
		r.publish("evt.AA.invoices.deleting", `"not this either"`)
		r.publish("evt.AA.invoices.created", `3`)
		p.await(1)
		request := fields{"compCode": "AA", "topic": "invoices", "since": since.UTC().Format(time.RFC3339)}
		got := p.must("Replay", request)
		if got.number("messageCount") != 3 || got["more"] != false {
			t.Fatalf("replay: %v", got)
		}
		delete(request, "since")
		request["after"] = got["cursor"]
		if got := p.must("Replay", request); got.number("messageCount") != 0 || got["more"] != false {
			t.Fatalf("replay behind the end: %v", got)
		}
		for _, want := range []string{"3", "1", "2", "3"} {
			data, confirm := p.next()
			if data != want {
				t.Fatalf("received %s, not %s", data, want)
			}
			p.must("Confirm", confirm)
		}
	})
}

// Quotas refuse what is too much and keep what is there.
func TestMB10Quotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.MaxSubscriptions, w.config.MaxLocks, w.config.MaxBacklog = 2, 2, 2
	r := w.start()
	p := r.partner("anna", "crm").subscribe("a").subscribe("b").subscribe("a")
	p.describe("AA", "c")
	p.refused("Subscribe", fields{"compCode": "AA", "topic": "c"}, 429, "too_many_subscriptions")
	for range 3 {
		r.publish("evt.AA.a.created", `1`)
	}
	p.await(3)
	one := p.must("Receive", nil)
	p.must("Receive", nil)
	p.refused("Receive", nil, 429, "too_many_locks")
	p.refused("Replay", fields{"compCode": "AA", "topic": "a", "since": "2020-01-01T00:00:00Z"}, 429, "backlog_full")
	p.must("Confirm", fields{"messageId": one["messageId"], "lockId": one["lockId"]})
	p.must("Receive", nil)
}

// Two replicas: any serves any call, and what one does the other knows.
// The document stays small, whatever a partner gives back or passes over, and the
// way out stays open: what was received before, and the first message of all.
func TestMB10DocumentIsBounded(t *testing.T) {
	t.Parallel()
	s := &Service{config: Default()}
	delayed, passed := &state{}, &state{}
	for seq := range uint64(maxNoted) {
		delayed.Held = append(delayed.Held, held{Seq: seq + 1})
		passed.Ahead = append(passed.Ahead, seq+2)
	}
	for _, c := range []struct {
		name  string
		st    *state
		seq   uint64
		first bool
		code  fault.Code
	}{
		{"a new one behind those given back", delayed, maxNoted + 1, true, fault.TooManyLocks},
		{"one that was given back", delayed, 7, true, ""},
		{"one more behind one passed over", passed, maxNoted + 2, false, fault.TooManyLocks},
		{"the one passed over", passed, 1, true, ""},
	} {
		if err := s.mayNote(c.st, c.seq, c.first); err == nil && c.code != "" || err != nil && fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, not %q", c.name, err, c.code)
		}
	}
}

func TestMB9Replicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.start(), w.start()
	p := one.partner("anna", "crm").subscribe("invoices")
	q := p.at(two)
	for i := range 20 {
		w.publish("evt.AA.invoices.created", fmt.Sprint(i))
		answers := q.background("Peek", nil)
		id := p.must("Peek", nil).text("nextMessageId")
		if other := (<-answers).text("nextMessageId"); other != id {
			t.Fatalf("one replica names %s, the other %s", id, other)
		}
		got := p.must("Receive", fields{"messageId": id})
		q.refused("Receive", fields{"messageId": id}, 409, "message_locked")
		if dataOf(got) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, dataOf(got))
		}
		confirm := fields{"messageId": id, "lockId": got["lockId"]}
		q.must("Confirm", confirm)
		p.must("Confirm", confirm)
		p, q = q, p
	}
	one.stop() // perhaps the relay's worker
	w.publish("evt.AA.invoices.created", `"after"`)
	if data, _ := p.at(two).next(); data != `"after"` {
		t.Fatalf("received %s", data)
	}
}

// MB7, and that a mailbox set up again begins empty.
func TestMB7Unsubscribe(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm").subscribe("a").subscribe("b")
	for range 3 {
		r.publish("evt.AA.a.created", `"a"`)
	}
	r.publish("evt.AA.b.created", `"b"`)
	p.await(4)
	held := p.must("Receive", nil)
	p.must("Unsubscribe", fields{"compCode": "AA", "topic": "A"})
	p.must("Unsubscribe", fields{"compCode": "AA", "topic": "A"})
	if n := p.must("Peek", fields{"timeout": 0}).number("messageCount"); n != 1 {
		t.Fatalf("%d messages are left", n)
	}
	p.must("Confirm", fields{"messageId": held["messageId"], "lockId": held["lockId"]})
	p.must("Subscribe", fields{"compCode": "AA", "topic": "A"})
	if data, _ := p.next(); data != `"b"` {
		t.Fatalf("received %s", data)
	}
}
