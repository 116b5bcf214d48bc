package mailbox

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
)

func TestErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start()
	p := r.partner("anna", "crm").subscribe("invoices").subscribe("users")
	publish := func(topic, attributes string) {
		t.Helper()
		text := `{"specversion":"1.0"` + attributes + `}`
		if status, answer := p.post(t.Context(), "/Events/Publish", `{"compCode":"AA","topic":"`+topic+`","event":`+text+`}`); status != 200 {
			t.Fatal(answer)
		}
	}
	publish("invoices", `,"recipient":"jan"`)
	publish("invoices", `,"senderuser":"jan"`)
	publish("invoices", `,"dataschema":"urn:belfry:change:v1","data":{"actor":{"user":"jan"}}`)
	publish("users", `,"subject":"jan"`)
	publish("users", `,"dataschema":"urn:belfry:change:v1","data":{"resource":{"id":"jan"}}`)
	publish("invoices", `,"subject":"jan"`) // an invoice that has the number jan
	publish("users", `,"subject":"jana"`)
	publish("invoices", `,"source":"/objectevent/alerts","data":{"actor":{"user":"jan"}}`)
	publish("invoices", `,"source":"/objectevent/alerts","data":{"change":{"topic":"Users"},"object":"jan"}`)
	publish("invoices", `,"source":"/objectevent/alerts","data":{"change":{"topic":"orders"},"object":"jan"}`)
	publish("invoices", `,"data":{"actor":{"user":"jan"}}`) // no change: it may mean anything
	for i, l := range []bus.Letter{
		{Subject: "op.3.AA.users.delete.jan"},
		{Subject: "op.AA.orders.update.1", Data: []byte(`{"actor":{"user":"jan"}}`)},
		{Subject: "op.BB.users.delete.jan"},
		{Subject: "op.AA.orders.update.jan", Data: []byte(`{"actor":"jan"}`)},
		{Subject: "evt.AA.orders.created", Data: []byte(`{}`), Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/x"}, "ce-type": {"y"}, "ce-senderuser": {"jan"},
		}},
	} {
		l.Consumer, l.Stream, l.At = "objectevent-0", "OPERATIONS", event.Cursor{Epoch: "abcdefgh", Seq: uint64(i + 1)}
		if err := w.nats.Bus().DeadLetter(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	w.publish("evt.BB.users.created", `{"specversion":"1.0","id":"1","source":"/x","type":"users.created","subject":"jan"}`)
	p.await(11)
	for _, o := range []EraseOptions{{User: "jan"}, {Tenant: "AA"}} {
		if _, err := Erase(t.Context(), w.nats.Bus().NC, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for i, want := range []Erased{{7, 7, 0, 3}, {7, 7, 0, 3}, {}} {
		got, err := Erase(t.Context(), w.nats.Bus().NC, EraseOptions{Tenant: "AA", User: "jan", DryRun: i == 0})
		if err != nil || got != want {
			t.Fatalf("run %d: %v %v, not %v", i, got, err, want)
		}
	}
	for range 4 {
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
