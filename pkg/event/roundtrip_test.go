package event

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// word draws text that CloudEvents allows, from 1 to n runes.
func word(t *rapid.T, label string, n int) string {
	return rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool {
		return !unicode.IsControl(r) && checkText("", string(r)) == nil
	}), 1, n, -1).Draw(t, label)
}

// anyEvent draws a valid, complete event.
func anyEvent(t *rapid.T) Event {
	e := Event{
		ID: word(t, "id", 30), Source: "/" + rapid.StringMatching(`[a-z0-9/-]{0,20}`).Draw(t, "source"), Type: word(t, "type", 20),
		Tenant: "t" + word(t, "tenant", 10), Topic: "t" + word(t, "topic", 10), Verb: "v" + word(t, "verb", 10),
		Time: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "time"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanos")).UTC(),
	}
	for label, field := range map[string]*string{
		"subject": &e.Subject, "recipient": &e.Recipient, "correlation": &e.CorrelationID, "connection": &e.SenderConnection,
		"user": &e.SenderUser, "device": &e.SenderDevice, "feature": &e.SenderFeature, "malformed": &e.Malformed,
	} {
		if rapid.Bool().Draw(t, "has "+label) {
			*field = word(t, label, 10)
		}
	}
	if rapid.Bool().Draw(t, "expires") {
		e.ExpiryTime = e.Time.Add(time.Duration(1 + rapid.Int64Range(0, 1e15).Draw(t, "ttl")))
	}
	if rapid.Bool().Draw(t, "has version") {
		v := rapid.Int64().Draw(t, "version")
		e.ObjectVersion = &v
	}
	if rapid.Bool().Draw(t, "has frm") {
		f := rapid.Bool().Draw(t, "frm")
		e.Frm = &f
	}
	e.Unannounced = rapid.Bool().Draw(t, "unannounced")
	e.Extensions = anyExtensions(t)
	anyData(t, &e)
	return e
}

func anyExtensions(t *rapid.T) map[string]any {
	m := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "extensions") {
		var value any
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			value = word(t, "value", 10)
		case 1:
			value = rapid.Bool().Draw(t, "value")
		default:
			value = rapid.Int32().Draw(t, "value")
		}
		m["x"+rapid.StringMatching(`[a-z0-9]{1,19}`).Draw(t, "name")] = value
	}
	return m
}

func anyData(t *rapid.T, e *Event) {
	switch rapid.IntRange(0, 3).Draw(t, "data kind") {
	case 0:
		e.DataContentType = rapid.SampledFrom([]string{"application/json", "text/json; charset=utf-8", "application/x+json"}).Draw(t, "json type")
		e.DataSchema = rapid.SampledFrom([]string{"", "urn:x:y", ChangeSchema}).Draw(t, "schema")
		doc := map[string]any{word(t, "key", 5): word(t, "value", 5), "n": rapid.Float64Range(-1e9, 1e9).Draw(t, "n")}
		e.Data, _ = json.Marshal(rapid.SampledFrom([]any{doc, []any{doc, nil}, "text", 5, true, nil}).Draw(t, "document"))
	case 1:
		e.DataContentType = "text/plain"
		e.Data = []byte(rapid.StringN(1, 30, -1).Draw(t, "text"))
	case 2:
		e.DataContentType = "image/png"
		e.Data = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes")
	}
}

// same compares what a format must keep. Headers carry no types, so there the
// extensions come back as text.
func same(t *rapid.T, want, got Event, typed bool) {
	t.Helper()
	if !typed {
		ext := map[string]any{}
		for name, value := range want.Extensions {
			ext[name], _ = extensionText(value)
		}
		want.Extensions = ext
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("came back changed (-want +got):\n%s", diff)
	}
}

func TestMsgRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t)
		m, err := e.Msg()
		if err != nil {
			t.Fatalf("%v\n%+v", err, e)
		}
		same(t, e, Decode("live."+m.Subject, m.Header, m.Data, Stored{}), false)
	})
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t)
		text := e.AppendJSON(nil)
		got, err := ParseJSON(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		same(t, e, got, true)
		// Structured mode on NATS is the same text.
		same(t, e, Decode("", map[string][]string{"Content-Type": {"application/cloudevents+json"}}, text, Stored{}), true)
	})
}

// binaryRequest is what a publisher sends in the HTTP binding's binary mode.
func binaryRequest(e *Event) http.Header {
	h := http.Header{}
	for key, values := range e.Header() {
		if key != "ce-datacontenttype" {
			h.Set(key, values[0])
		}
	}
	if e.DataContentType != "" {
		h.Set("Content-Type", e.DataContentType)
	}
	return h
}

func TestHTTPRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t)
		events, batch, err := FromHTTP(binaryRequest(&e), e.Data)
		if err != nil || batch || len(events) != 1 {
			t.Fatalf("binary: %v %v %v", events, batch, err)
		}
		same(t, e, events[0], false)

		text := e.AppendJSON(nil)
		events, batch, err = FromHTTP(http.Header{"Content-Type": {"application/cloudevents+json; charset=UTF-8"}}, text)
		if err != nil || batch || len(events) != 1 {
			t.Fatalf("structured: %v %v %v", events, batch, err)
		}
		same(t, e, events[0], true)

		body := append(append(append([]byte{'['}, text...), ','), text...)
		events, batch, err = FromHTTP(http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, append(body, ']'))
		if err != nil || !batch || len(events) != 2 {
			t.Fatalf("batch: %v %v %v", events, batch, err)
		}
		same(t, e, events[1], true)
	})
}
