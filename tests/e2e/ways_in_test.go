package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	cenats "github.com/cloudevents/sdk-go/protocol/nats/v2"
	ce "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// post sends one request and answers status and body.
func post(t *testing.T, w *world, token string, header map[string]string, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodPost, w.url("http", "/v1/events"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	res, err := w.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Every way in leads to every open window and stream, in one order.
func TestWaysIn(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		all, token := listeners(t, w), w.token()
		ok := func(header map[string]string, body string) func() {
			return func() {
				t.Helper()
				if status, answer := post(t, w, token, header, body); status != http.StatusOK {
					t.Fatalf("answered %d: %s", status, answer)
				}
			}
		}
		nc := bustest.Connect(t, w.nats)
		for _, way := range []struct {
			name string
			send func()
			ids  []string
			data string
		}{
			{
				"curl, binary", ok(map[string]string{
					"ce-specversion": "1.0", "ce-id": "binary", "ce-source": "/curl", "ce-type": "invoices.created",
					"Content-Type": "application/json",
				}, `{"total":1}`),
				[]string{"binary"},
				`{"total":1}`,
			},
			{
				"curl, structured", ok(map[string]string{"Content-Type": "application/cloudevents+json"},
					`{"specversion":"1.0","id":"structured","source":"/curl","type":"invoices.created","data":{"total":2}}`),
				[]string{"structured"},
				`{"total":2}`,
			},
			{
				"curl, batch", ok(map[string]string{"Content-Type": "application/cloudevents-batch+json"},
					`[{"specversion":"1.0","id":"batch1","source":"/curl","type":"invoices.created","data":{"total":3}},
					  {"specversion":"1.0","id":"batch2","source":"/curl","type":"x.y","topic":"Invoices","verb":"Updated","data":{"total":3}}]`),
				[]string{"batch1", "batch2"},
				`{"total":3}`,
			},
			{
				"plain nats.go, bare JSON", func() {
					m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: []byte(`{"total":4}`), Header: nats.Header{"Nats-Msg-Id": {"bare"}}}
					if err := nc.PublishMsg(m); err != nil {
						t.Fatal(err)
					}
				},
				[]string{"bare"},
				`{"total":4}`,
			},
			{"CloudEvents SDK over NATS", func() { sendWithSDK(t, w, "sdk", `{"total":5}`) }, []string{"sdk"}, `{"total":5}`},
			{"CloudEvents SDK over HTTP", func() { postWithSDK(t, w, token, "sdkhttp", `{"total":6}`) }, []string{"sdkhttp"}, `{"total":6}`},
		} {
			way.send()
			for _, l := range all {
				for _, id := range way.ids {
					a := l.next()
					if a.event.ID != id || string(a.event.Data) != way.data || a.event.Tenant != "AA" {
						t.Fatalf("%s: %s got %q of tenant %q with %s, want %q with %s",
							way.name, l.name, a.event.ID, a.event.Tenant, a.event.Data, id, way.data)
					}
				}
			}
		}
	})
}

func sdkEvent(t *testing.T, id, data string) ce.Event {
	t.Helper()
	e := ce.NewEvent()
	e.SetID(id)
	e.SetSource("/sdk")
	e.SetType("invoices.created")
	if err := e.SetData(ce.ApplicationJSON, []byte(data)); err != nil {
		t.Fatal(err)
	}
	return e
}

func sendWithSDK(t *testing.T, w *world, id, data string) {
	t.Helper()
	sender, err := cenats.NewSender(w.nats, "evt.AA.invoices.created", cenats.NatsOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sender.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	c, err := ce.NewClient(sender)
	if err != nil {
		t.Fatal(err)
	}
	if result := c.Send(soon(t), sdkEvent(t, id, data)); ce.IsUndelivered(result) {
		t.Fatal(result)
	}
}

func postWithSDK(t *testing.T, w *world, token, id, data string) {
	t.Helper()
	p, err := ce.NewHTTP(ce.WithTarget(w.url("http", "/v1/events")), ce.WithHeader("Authorization", "Bearer "+token), ce.WithRoundTripper(w.http.Transport))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ce.NewClient(p)
	if err != nil {
		t.Fatal(err)
	}
	if result := c.Send(soon(t), sdkEvent(t, id, data)); !ce.IsACK(result) {
		t.Fatal(result)
	}
}
