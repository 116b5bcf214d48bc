package e2e

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/subject"
)

// TestJourney follows one event through the house, hop by hop. A reader who
// wants to know how Belfry works begins here and opens each file it names.
func TestJourney(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		// The window at the end of the way: it wants the view that the ERP asks
		// for, and the event as it is stored.
		window, err := client.Open(soon(t), w.url("ws", "/v1/ws"), client.OpenOptions{
			Token: w.token(), HTTPClient: w.http,
			Subscriptions: []client.Subscription{{Topic: "invoices"}, {Name: "frm.objectInserted"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer window.Close()

		// And a partner's mailbox beside it.
		w.need("mailbox")
		partner := subscribed(t, w, "INVOICES")

		// build — pkg/event: what happened, completed and checked.
		e := event.Event{Source: "/billing", Tenant: "AA", Topic: "Invoices", Verb: "created", Subject: "4711", Data: []byte(`{"total":12.5}`)}
		e.Complete(time.Now())
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}

		// address — pkg/subject: where it belongs, in lower case.
		address, err := subject.Event(subject.Address{Tenant: e.Tenant, Topic: e.Topic, Verb: e.Verb})
		if err != nil || address != "evt.AA.invoices.created" {
			t.Fatalf("address %q, %v", address, err)
		}

		// publish — pkg/client: sent until the log has acknowledged it.
		receipt, err := publisher(t, w).Publish(soon(t), e)
		if err != nil || receipt.ID != e.ID {
			t.Fatalf("receipt %+v, %v", receipt, err)
		}

		// land — pkg/topology: EVENTS keeps it, under its address, as it was sent.
		// Behind it may stand a record of a relay that began meanwhile.
		reader := eventlog.NewReader(bustest.Connect(t, w.nats))
		log, err := reader.State(soon(t))
		if err != nil || log.Epoch != receipt.Cursor.Epoch || log.Last < receipt.Cursor.Seq {
			t.Fatalf("the log ends at %+v, %v; want %v in it", log, err, receipt.Cursor)
		}
		var page []eventlog.Message
		bustest.Eventually(t, patience, "the replica that answers has it", func() bool {
			page, _, err = reader.Page(soon(t), address, receipt.Cursor.Seq, 1, 1<<20)
			return err == nil && len(page) == 1
		})
		if got := page[0]; got.Subject != address || got.Header.Get("ce-id") != e.ID || string(got.Data) != string(e.Data) {
			t.Fatalf("kept: %+v", got)
		}

		// An event may also follow from what a source system reports: take, decide,
		// relay — services/objectevent: consume.go, operation.go, and pkg/relay. That
		// way begins in operation_test.go and ends here.

		// arrive, route, queue and write — services/gateway: feed.go, hub.go,
		// connection.go, websocket.go. Both forms come in one message, at one
		// position.
		types := make([]string, 2)
		for i := range types {
			it, err := window.Next(soon(t))
			if err != nil || it.Cursor != receipt.Cursor || it.Event.ID != e.ID {
				t.Fatalf("arrived: %s at %v, %v; want %s at %v", it.Event.ID, it.Cursor, err, e.ID, receipt.Cursor)
			}
			types[i] = it.Event.Type
		}
		slices.Sort(types)
		if !slices.Equal(types, []string{"frm.objectInserted", "invoices.created"}) {
			t.Fatalf("arrived as %v", types)
		}

		// copy, wait, receive and confirm — services/mailbox: fanout.go, peek.go,
		// receive.go, confirm.go. The same event, once.
		if ids := partner.confirmAll(1); !slices.Equal(ids, []string{e.ID}) {
			t.Fatalf("the mailbox held %v", ids)
		}

		// On its way every hop logged the same two attributes.
		bustest.Eventually(t, patience, "the hops are in the log", func() bool {
			return slices.Contains(hops(w, e.ID, address), "event routed")
		})
	})
}

// hops lists the messages that the programs logged about an event.
func hops(w *world, id, address string) (messages []string) {
	for _, f := range w.fronts {
		lines := bufio.NewScanner(strings.NewReader(f.out.String()))
		for lines.Scan() {
			var line struct {
				Message string `json:"msg"`
				ID      string `json:"event_id"`
				Subject string `json:"subject"`
			}
			// The banner is no JSON.
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.ID == id && line.Subject == address {
				messages = append(messages, line.Message)
			}
		}
	}
	return messages
}
