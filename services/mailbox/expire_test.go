package mailbox

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
)

// A fake second costs real microseconds, so these days are short ones: everything
// is configured in them.
const day = 6 * time.Minute

func shortDays(c *Config) {
	c.ExpireAfter, c.WarnBefore, c.Grace, c.SweepEvery = 10*day, day, day, day/20
}

// published are the notices about mailboxes, by verb, as their data.
func (r *replica) published(verb string) (all []fields) {
	r.t.Helper()
	subj, err := subject.Event(subject.Address{Tenant: "AA", Topic: noticesTopic, Verb: verb})
	if err != nil {
		r.t.Fatal(err)
	}
	for from := uint64(1); ; {
		m, there, err := r.s.events.First(r.t.Context(), subj, from)
		if err != nil {
			r.t.Fatal(err)
		}
		if !there {
			return all
		}
		from = m.Seq + 1
		var f fields
		if err := json.Unmarshal(m.Data, &f); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, f)
	}
}

func TestMB6Expiry(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		shortDays(&w.config)
		r := w.start()
		silent := r.partner("anna", "silent").subscribe("invoices")
		polling := r.partner("anna", "polling").subscribe("invoices")
		r.publish("evt.AA.invoices.created", `1`)
		for range 9 {
			polling.must("Peek", fields{"timeout": 0})
			pass(day)
		}
		pass(day / 8)
		if warned := r.published("expiring"); len(warned) != 1 || warned[0].text("subscriberName") != "silent" {
			t.Fatalf("warned after nine days: %v", warned)
		}
		if subs := silent.must("ViewSubscriptions", nil); subs.text("expires") == "" {
			t.Fatalf("no word of expiry: %v", subs)
		}
		pass(day)
		polling.must("Peek", fields{"timeout": 0})
		for _, method := range []string{"Peek", "Receive", "ViewSubscriptions"} {
			silent.refused(method, nil, 410, "mailbox_expired")
		}
		silent.refused("Confirm", fields{"messageId": "x", "lockId": "y"}, 410, "mailbox_expired")
		if warned := r.published("expiring"); len(warned) != 1 {
			t.Fatalf("warned %d times", len(warned))
		}
		if gone := r.published("expired"); len(gone) != 1 {
			t.Fatalf("said %d times that it is over", len(gone))
		}
		r.publish("evt.AA.invoices.created", `2`)
		pass(day / 8)
		if info, err := r.s.copies.info(t.Context(), subject.MailboxOf(silent.id)); err != nil || len(info.State.Subjects) > 0 {
			t.Fatalf("left of the expired mailbox: %v %v", info.State.Subjects, err)
		}
		if n := polling.must("Peek", fields{"timeout": 0}).number("messageCount"); n != 2 {
			t.Fatalf("the other mailbox has %d messages", n)
		}
		silent.must("Subscribe", fields{"compCode": "AA", "topic": "invoices"})
		r.publish("evt.AA.invoices.created", `3`)
		if data, _ := silent.next(); data != "3" {
			t.Fatalf("received %s after subscribing again", data)
		}
	})
}

// Who never peeks and only receives, with nothing there, polls as well.
func TestMB6ReceivingIsPolling(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		shortDays(&w.config)
		r := w.start()
		one := r.partner("anna", "one").subscribe("invoices")
		many := r.partner("anna", "many").subscribe("invoices")
		for range 12 {
			one.must("Receive", nil)
			many.must("ReceiveBatch", nil)
			pass(day)
		}
		if gone := r.published("expired"); len(gone) != 0 {
			t.Fatalf("expired: %v", gone)
		}
	})
}

// After the platform itself was down, nothing expires for a day.
func TestMB6GraceAfterOutage(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		shortDays(&w.config)
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		r.publish("evt.AA.invoices.created", `1`)
		pass(time.Minute)
		r.stop()
		pass(40 * day)
		p = p.at(w.start())
		pass(day - day/8)
		if n := p.must("Peek", fields{"timeout": 0}).number("messageCount"); n != 1 {
			t.Fatalf("%d messages after the outage", n)
		}
		pass(11 * day)
		p.refused("Peek", nil, 410, "mailbox_expired")
	})
}

// A sweep that dies between any two of its calls is finished by the next, and what
// was subscribed to since stays.
func TestMB6SweepDies(t *testing.T) { //nolint:paralleltest // a bubble
	for step, died := 0, true; died; step++ {
		bubble(t, func(t *testing.T, w *world) {
			shortDays(&w.config)
			r := w.start()
			p := r.partner("anna", "crm").subscribe("invoices")
			r.publish("evt.AA.invoices.created", `1`)
			r.stop()

			pass(9*day + day/2) // less than an outage, so nobody is spared
			crash := &crasher{Caller: ask(w.nats.Bus().NC), left: 1 << 30}
			r = w.startOn(w.nats.Bus(), func(s *Service) { s.states.Caller, s.events.Caller = crash, crash })
			pass(day/2 - day/40)
			crash.arm(step)
			pass(day / 18) // one sweep
			died = crash.over()
			r.stop()

			p = p.at(w.start())
			pass(day / 4)
			p.refused("Peek", nil, 410, "mailbox_expired")
			p.must("Subscribe", fields{"compCode": "AA", "topic": "invoices"})
			w.publish("evt.AA.invoices.created", `2`)
			pass(day / 4)
			if data, _ := p.next(); data != "2" {
				t.Fatalf("step %d: received %s", step, data)
			}
		})
		if step > 100 {
			t.Fatal("a sweep has no end")
		}
	}
}
