package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	cenats "github.com/cloudevents/sdk-go/protocol/nats/v2"
	cejs "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	ce "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const subj = "evt.AA.invoices.created"

// payload is one kind of data, as the SDK and as we hold it.
type payload struct {
	contentType string
	set         any // what a program gives to the SDK
	data        []byte
}

var payloads = map[string]payload{
	"JSON":  {"application/json", map[string]any{"total": 12.5, "note": "<ž>"}, []byte(`{"note":"\u003cž\u003e","total":12.5}`)},
	"text":  {"text/plain", "line one\nline \"two\" €", []byte("line one\nline \"two\" €")},
	"bytes": {"application/octet-stream", []byte{0, 1, 0xff}, []byte{0, 1, 0xff}},
	"none":  {"", nil, nil},
}

// theirs is the SDK's event, and ours the same one.
func theirs(t *testing.T, p payload) *ce.Event {
	t.Helper()
	e := ce.New("1.0")
	e.SetID("17")
	e.SetSource("/erp/invoicing")
	e.SetType("com.erp.invoice")
	e.SetSubject("faktura €/7")
	e.SetTime(time.Date(2026, 11, 21, 6, 40, 0, 123456789, time.UTC))
	e.SetDataSchema("urn:erp:invoice")
	for name, value := range map[string]any{
		"tenant": "AA", "topic": "INVOICES", "verb": "created", "correlationid": "ref 5", "frm": false,
		"objectversion": int32(7), "expirytime": time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		"text": `say "hi"`, "number": int32(-5), "flag": true,
	} {
		e.SetExtension(name, value)
	}
	if p.set != nil {
		if err := e.SetData(p.contentType, p.set); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	return &e
}

// ours: typed is false where headers, which have no types, carried the extensions.
func ours(p payload, typed bool) event.Event {
	e := event.Event{
		ID: "17", Source: "/erp/invoicing", Type: "com.erp.invoice", Subject: "faktura €/7",
		Time: time.Date(2026, 11, 21, 6, 40, 0, 123456789, time.UTC), DataSchema: "urn:erp:invoice",
		Tenant: "AA", Topic: "INVOICES", Verb: "created", CorrelationID: "ref 5", Frm: new(bool), ObjectVersion: new(int64(7)),
		ExpiryTime: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), DataContentType: p.contentType, Data: p.data,
		Extensions: map[string]any{"text": `say "hi"`, "number": "-5", "flag": "true"},
	}
	if typed {
		e.Extensions["number"], e.Extensions["flag"] = int32(-5), true
	}
	return e
}

func same(t *testing.T, want, got event.Event) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// each runs a check for every kind of data.
func each(t *testing.T, check func(*testing.T, payload)) {
	t.Parallel()
	for name, p := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, p)
		})
	}
}

// body collects what the SDK writes.
type body struct{ bytes.Buffer }

func (b *body) ReadFrom(r io.Reader) (int64, error) { b.Reset(); return b.Buffer.ReadFrom(r) }

func TestNATSBinaryFromSDK(t *testing.T) {
	each(t, func(t *testing.T, p payload) {
		var b body
		h, err := cejs.WriteMsg(binding.WithForceBinary(t.Context()), binding.ToMessage(theirs(t, p)), &b)
		if err != nil {
			t.Fatal(err)
		}
		same(t, ours(p, false), event.Decode(subj, h, b.Bytes(), event.Stored{}))
	})
}

func TestNATSStructuredFromSDK(t *testing.T) {
	each(t, func(t *testing.T, p payload) {
		var core, js body
		if err := cenats.WriteMsg(t.Context(), binding.ToMessage(theirs(t, p)), &core); err != nil {
			t.Fatal(err)
		}
		h, err := cejs.WriteMsg(binding.WithForceStructured(t.Context()), binding.ToMessage(theirs(t, p)), &js)
		if err != nil {
			t.Fatal(err)
		}
		// The SDK names no content type, and other libraries do.
		same(t, ours(p, true), event.Decode(subj, nil, core.Bytes(), event.Stored{}))
		same(t, ours(p, true), event.Decode(subj, h, js.Bytes(), event.Stored{}))
		named := nats.Header{"Content-Type": {ce.ApplicationCloudEventsJSON}}
		same(t, ours(p, true), event.Decode(subj, named, core.Bytes(), event.Stored{}))
	})
}

func TestHTTPFromSDK(t *testing.T) {
	each(t, func(t *testing.T, p payload) {
		for name, ctx := range map[string]func() (*http.Request, error){
			"binary": func() (*http.Request, error) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x", nil)
				if err != nil {
					return nil, err
				}
				return r, cehttp.WriteRequest(binding.WithForceBinary(t.Context()), binding.ToMessage(theirs(t, p)), r)
			},
			"structured": func() (*http.Request, error) {
				return cehttp.NewHTTPRequestFromEvent(binding.WithForceStructured(t.Context()), "http://x", *theirs(t, p))
			},
			"batch": func() (*http.Request, error) {
				return cehttp.NewHTTPRequestFromEvents(t.Context(), "http://x", []ce.Event{*theirs(t, p), *theirs(t, p)})
			},
		} {
			r, err := ctx()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var b []byte
			if r.Body != nil {
				if b, err = io.ReadAll(r.Body); err != nil {
					t.Fatal(err)
				}
			}
			events, batch, err := event.FromHTTP(r.Header, b)
			if err != nil || batch != (name == "batch") || batch && len(events) != 2 || !batch && len(events) != 1 {
				t.Fatalf("%s: %d events, batch %v, %v", name, len(events), batch, err)
			}
			for _, e := range events {
				same(t, ours(p, name != "binary"), e)
			}
		}
	})
}

// agree compares the SDK's event with the one it was made from.
func agree(t *testing.T, want event.Event, got *ce.Event) {
	t.Helper()
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	attrs := map[string]any{
		"id": got.ID(), "source": got.Source(), "type": got.Type(), "subject": got.Subject(), "schema": got.DataSchema(),
		"time": got.Time(), "content type": got.DataContentType(), "data": string(got.Data()), "tenant": got.Extensions()["tenant"],
		"topic": got.Extensions()["topic"], "verb": got.Extensions()["verb"], "text": got.Extensions()["text"],
	}
	wanted := map[string]any{
		"id": want.ID, "source": want.Source, "type": want.Type, "subject": want.Subject, "schema": want.DataSchema,
		"time": want.Time, "content type": want.DataContentType, "data": string(want.Data), "tenant": want.Tenant,
		"topic": want.Topic, "verb": want.Verb, "text": want.Extensions["text"],
	}
	if diff := cmp.Diff(wanted, attrs); diff != "" {
		t.Errorf("-ours +SDK:\n%s", diff)
	}
}

func TestJSONToSDK(t *testing.T) {
	each(t, func(t *testing.T, p payload) {
		e := ours(p, true)
		text := e.AppendJSON(nil)
		var got ce.Event
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		agree(t, e, &got)
		// The same text as a message of core NATS.
		fromNATS, err := binding.ToEvent(t.Context(), cenats.NewMessage(&nats.Msg{Subject: subj, Data: text}))
		if err != nil {
			t.Fatal(err)
		}
		agree(t, e, fromNATS)
	})
}

func TestMsgToSDK(t *testing.T) {
	each(t, func(t *testing.T, p payload) {
		e := ours(p, false)
		m, err := e.Msg()
		if err != nil {
			t.Fatal(err)
		}
		got, err := binding.ToEvent(t.Context(), cejs.NewMessage(m))
		if err != nil {
			t.Fatal(err)
		}
		// The SDK leaves percent-encoding to its user.
		e.Subject, e.Extensions["text"] = "faktura%20%E2%82%AC/7", "say%20%22hi%22"
		agree(t, e, got)
	})
}

// A view is a CloudEvent like any other.
func TestViewsToSDK(t *testing.T) {
	t.Parallel()
	e := ours(payloads["JSON"], true)
	e.Frm = nil
	for _, name := range []string{"frm.objectInserted", "portos.resources.changed"} {
		v, _ := event.LookupView(name)
		text, ok := v.AppendJSON(nil, &e)
		var got ce.Event
		if err := json.Unmarshal(text, &got); err != nil || !ok || got.Validate() != nil || got.Type() != name {
			t.Errorf("%s: %v %v\n%s", name, err, ok, text)
		}
	}
}
