package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/eventlog"
)

// One insert that a source system reports is one stored event, and every window sees
// it under the name it asked for.
func TestOE1OneInsertIsOneStoredEvent(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		w.need("objectevent", "mailbox")
		window := func(s client.Subscription) *client.Window {
			win, err := client.Open(soon(t), w.url("ws", "/v1/ws"), client.OpenOptions{Token: w.token(), HTTPClient: w.http, Subscriptions: []client.Subscription{s}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(win.Close)
			return win
		}
		asStored, asView := window(client.Subscription{Topic: "invoices"}), window(client.Subscription{Name: "frm.objectInserted"})
		inPortos := window(client.Subscription{Name: "portos.resources.changed"})
		partner := subscribed(t, w, "INVOICES")

		// A source system without any library of ours, twice: it has lost the answer.
		nc := bustest.Connect(t, w.nats)
		for range 2 {
			m := nats.NewMsg("op.AA.invoices.insert.4711")
			m.Header = nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"erp-1"}, "ce-source": {"/erp"}, "ce-type": {"invoices.insert"}, "ce-senderuser": {"anna"}}
			m.Data = []byte(`{"total":12.5}`)
			reply, err := nc.RequestMsgWithContext(soon(t), m)
			if err != nil || !strings.Contains(string(reply.Data), `"OPERATIONS"`) {
				t.Fatalf("the queue answered %v, %v", reply, err)
			}
		}

		stored, err := asStored.Next(soon(t))
		if err != nil || stored.Event.Type != "invoices.created" || stored.Event.ID != "erp-1" || stored.Event.Subject != "4711" {
			t.Fatalf("as stored: %+v, %v", stored, err)
		}
		view, err := asView.Next(soon(t))
		if err != nil || view.Cursor != stored.Cursor || view.Event.Type != "frm.objectInserted" ||
			string(view.Event.Data) != `{"event-objectName":"invoices","event-objectID":"4711"}` {
			t.Errorf("as frm.objectInserted: %+v %s, %v", view, view.Event.Data, err)
		}
		changed, err := inPortos.Next(soon(t))
		if err != nil || changed.Cursor != stored.Cursor || !strings.Contains(string(changed.Event.Data), `"u":{"u":"anna"`) {
			t.Errorf("as portos.resources.changed: %+v %s, %v", changed, changed.Event.Data, err)
		}

		// take, decide — services/objectevent says what became of it, over NATS too.
		ask := nats.NewMsg("svc.objectevent.GetOperation")
		ask.Header.Set("Authorization", "Bearer "+w.token())
		ask.Data = []byte(`{"id":"erp-1"}`)
		answer, err := nc.RequestMsgWithContext(soon(t), ask)
		if err != nil || !strings.Contains(string(answer.Data), `"events":[{"verb":"created","cursor":"`+stored.Cursor.String()+`"}]`) {
			t.Errorf("what became of it: %v, %v", answer, err)
		}

		// What follows shows that the second report has been decided, and left nothing.
		reply, err := nc.RequestWithContext(soon(t), "op.AA.invoices.delete.4711", nil)
		if err != nil || len(reply.Data) == 0 {
			t.Fatalf("the queue answered %v, %v", reply, err)
		}
		last, err := asStored.Next(soon(t))
		if err != nil || last.Event.Type != "invoices.deleted" || !last.Event.Unannounced {
			t.Fatalf("after it came %+v, %v", last, err)
		}
		if ids := partner.confirmAll(2); !slices.Equal(ids, []string{stored.Event.ID, last.Event.ID}) {
			t.Errorf("the mailbox held %v", ids)
		}
		reader := eventlog.NewReader(nc)
		page, _, err := reader.Page(soon(t), "evt.AA.invoices.*", 1, 10, 1<<20)
		if err != nil || len(page) > 2 {
			t.Errorf("%d events are stored, %v", len(page), err)
		}
	})
}
