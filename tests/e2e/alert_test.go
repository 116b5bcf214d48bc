package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
)

// A rule that an administrator sets turns a change that a source system reports into
// an alert: a window shows it, and a partner finds it in its mailbox.
func TestOE5FromARuleToAMailbox(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		w.need("objectevent", "mailbox")
		partner := subscribed(t, w, "finance")
		win, err := client.Open(soon(t), w.url("ws", "/v1/ws"), client.OpenOptions{
			Token: w.token(), HTTPClient: w.http, Subscriptions: []client.Subscription{{Topic: "finance"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(win.Close)

		body, err := json.Marshal(map[string]any{"rule": map[string]any{
			"name": "large", "topics": []string{"invoices"}, "condition": "new.total > 1000", "targetTopic": "finance",
			"message": "{{object}} by {{actor.user}}: {{new.total}}",
		}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(soon(t), http.MethodPost, w.service("objectevent", "/v1/alerts"), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.token("--grant", "admin", "--grant", "subscribe:*", "--grant", "publish:*"))
		r.Header.Set("Content-Type", "application/json")
		res, err := w.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the rule was answered %s", res.Status)
		}

		nc := bustest.Connect(t, w.nats)
		for id, data := range map[string]string{"op-1": `{"total":2500}`, "op-2": `{"total":25}`} {
			m := nats.NewMsg("op.AA.invoices.insert.4711-" + id)
			m.Header = nats.Header{"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/erp"}, "ce-type": {"invoices.insert"}, "ce-senderuser": {"anna"}}
			m.Data = []byte(data)
			if _, err := nc.RequestMsgWithContext(soon(t), m); err != nil {
				t.Fatal(err)
			}
		}
		shown, err := win.Next(soon(t))
		var said struct {
			Message string
			Change  struct{ ID string }
		}
		if err != nil || json.Unmarshal(shown.Event.Data, &said) != nil || said.Message != "4711-op-1 by anna: 2500" || said.Change.ID != "op-1" {
			t.Fatalf("the window shows %s, %v", shown.Event.Data, err)
		}
		if ids := partner.confirmAll(1); !slices.Equal(ids, []string{"large@op-1"}) {
			t.Errorf("the mailbox held %v", ids)
		}
	})
}
