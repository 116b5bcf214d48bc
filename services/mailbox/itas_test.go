package mailbox

import "testing"

// The call order of the ITAS text, with its spellings of the keys.
func TestMB1CallOrder(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm")
	if again := p.must("Register", fields{"SUBSCRIBERNAME": "crm"}).text("subscriberId"); again != p.id {
		t.Fatalf("registered again as %q, first %q", again, p.id)
	}
	r.publish("evt.AA.invoices.created", `{"n":0}`)
	p.must("Subscribe", fields{"subscriberid": p.id, "COMPCODE": "AA", "topic": "INVOICES"})
	if peeked := p.must("Peek", fields{"timeout": 0}); peeked["timedOut"] != true || peeked.number("messageCount") != 0 {
		t.Fatalf("peek of an empty mailbox: %v", peeked)
	}
	r.publish("evt.AA.invoices.created", `{"n":1}`)
	data, confirm := p.next()
	if data != `{"n":1}` {
		t.Fatalf("received %s", data)
	}
	if got := p.must("Confirm", confirm); got.text("messageId") != confirm.text("messageId") {
		t.Fatalf("confirmed %v", got)
	}
	if peeked := p.must("Peek", fields{"timeout": 0}); peeked.number("messageCount") != 0 {
		t.Fatalf("peek after confirm: %v", peeked)
	}
	p.must("Confirm", confirm)
	if got := p.must("Receive", nil); len(got) != 0 {
		t.Fatalf("received from an empty mailbox: %v", got)
	}
	t.Log(p.must("ViewSubscriptions", nil), p.must("ViewTopics", nil), p.must("Unsubscribe", fields{"compCode": "AA", "topic": "invoices"}))
}
