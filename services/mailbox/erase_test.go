package mailbox

import (
	"testing"
)

func TestErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start()
	p := r.partner("anna", "crm").subscribe("invoices").subscribe("users")
	event := func(topic, attributes string) {
		t.Helper()
		text := `{"specversion":"1.0"` + attributes + `}`
		if status, answer := p.post(t.Context(), "/Events/Publish", `{"compCode":"AA","topic":"`+topic+`","event":`+text+`}`); status != 200 {
			t.Fatal(answer)
		}
	}
	event("invoices", `,"recipient":"jan"`)
	event("invoices", `,"senderuser":"jan"`)
	event("invoices", `,"dataschema":"urn:belfry:change:v1","data":{"actor":{"user":"jan"}}`)
	event("users", `,"subject":"jan"`)
	event("users", `,"dataschema":"urn:belfry:change:v1","data":{"resource":{"id":"jan"}}`)
	event("invoices", `,"subject":"jan"`) // an invoice that has the number jan
	event("users", `,"subject":"jana"`)
	w.publish("evt.BB.users.created", `{"specversion":"1.0","id":"1","source":"/x","type":"users.created","subject":"jan"}`)
	p.await(7)
	for _, o := range []EraseOptions{{User: "jan"}, {Tenant: "AA"}} {
		if _, err := Erase(t.Context(), w.nats.Bus().NC, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for i, want := range []Erased{{5, 5, 0}, {5, 5, 0}, {}} {
		got, err := Erase(t.Context(), w.nats.Bus().NC, EraseOptions{Tenant: "AA", User: "jan", DryRun: i == 0})
		if err != nil || got != want {
			t.Fatalf("run %d: %v %v, not %v", i, got, err, want)
		}
	}
	for range 2 {
		_, confirm := p.next()
		p.must("Confirm", confirm)
	}
	if n := p.must("Peek", fields{"timeout": 0}).number("messageCount"); n != 0 {
		t.Fatalf("%d messages are left", n)
	}
	if got, err := Erase(t.Context(), w.nats.Bus().NC, EraseOptions{Tenant: "BB", User: "jan", DryRun: true}); err != nil || got.Events != 1 {
		t.Fatalf("of the other tenant: %v %v", got, err)
	}
}
