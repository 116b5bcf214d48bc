package event

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// block reads "key: value" lines, so that a fuzzer can invent headers.
func block(lines string) map[string][]string {
	h := map[string][]string{}
	for line := range strings.Lines(lines) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); ok {
			h[key] = append(h[key], strings.TrimLeft(value, " "))
		}
	}
	return h
}

// checkLine fails unless text is one line of JSON in UTF-8.
func checkLine(t *testing.T, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) || bytes.ContainsAny(text, "\n\r") {
		t.Fatalf("not one line of JSON: %q", text)
	}
}

// checkReadable holds an event against what readers rely on: its JSON is one
// valid line, reads back, and every view can be made of it.
func checkReadable(t *testing.T, e *Event) {
	t.Helper()
	text := e.AppendJSON(nil)
	checkLine(t, text)
	again, err := ParseJSON(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if second := again.AppendJSON(nil); !bytes.Equal(text, second) {
		t.Fatalf("changed on the way:\n%s\n%s", text, second)
	}
	for _, v := range Views() {
		if view, ok := v.AppendJSON(nil, e); ok {
			checkLine(t, view)
			n, _ := v.Notification(e)
			checkLine(t, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("live.evt.AA.users.created", "ce-specversion: 1.0\nce-id: 1\nCe-Time: 2026-01-01T00:00:00Z\n", []byte(`{"a":1}`), uint64(7))
	f.Add("evt.AA.x.updated", "Content-Type: application/cloudevents+json\n", []byte(`{"specversion":"1.0","id":"1","data":{"old":{}}}`), uint64(7))
	f.Add("evt.=FF.=0A.x", "ce-dataschema: urn:belfry:change:v1\nce-id: %FF\n", []byte(`{"old":{"a":1},"affected":[1]}`), uint64(0))
	f.Fuzz(func(t *testing.T, subj, lines string, data []byte, seq uint64) {
		at := Stored{Cursor{"abcd1234", seq}, time.Unix(0, 0)}
		e := Decode(subj, block(lines), data, at)
		if e.ID == "" || e.Source == "" || e.Type == "" {
			t.Fatalf("a required attribute is missing: %+v", e)
		}
		checkReadable(t, &e)
		if again := Decode(subj, block(lines), data, at); again.Malformed != e.Malformed {
			t.Fatalf("two readers, two reasons: %q, %q", e.Malformed, again.Malformed)
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`))
	f.Add([]byte(`{"specversion":"1.0","data_base64":"/wA=","time":"2026-01-01T00:00:00Z","x":true,"y":-1}`))
	f.Add([]byte(`{"specversion":"1.0","datacontenttype":"text/plain","data":"\ud800"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := ParseJSON(text); err == nil {
			checkReadable(t, &e)
		}
	})
}

func FuzzFromHTTP(f *testing.F) {
	f.Add("Ce-Specversion: 1.0\nCe-Type: t\nContent-Type: application/json\n", []byte(`{}`))
	f.Add("Content-Type: application/cloudevents-batch+json\n", []byte(`[{"specversion":"1.0"}]`))
	f.Add("Content-Type: application/cloudevents; charset=utf-8\n", []byte(`{"specversion":"1.0","frm":false}`))
	f.Fuzz(func(t *testing.T, lines string, body []byte) {
		h := http.Header{}
		for key, values := range block(lines) {
			for _, v := range values {
				h.Add(key, v)
			}
		}
		events, batch, err := FromHTTP(h, body)
		if err == nil && !batch && len(events) != 1 {
			t.Fatalf("%d events that are no batch", len(events))
		}
		for i := range events {
			checkReadable(t, &events[i])
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("abcd1234-000000000000002a")
	f.Add("abcd1234-000000000000002A")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCursor(text); err == nil && c.String() != text {
			t.Fatalf("%q is also written %q", text, c.String())
		}
	})
}

// FuzzValidJSON holds our validator against the standard library's, from which
// it differs in two rules: UTF-8 must be valid, and nesting ends earlier.
func FuzzValidJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+7,"\u00e9",true,null]}`, `[01]`, `"` + "\x1f" + `"`, ` 1 `, `-`, `{"a"}`, `[1,]`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxDepth {
			return
		}
		if want := json.Valid(text) && utf8.Valid(text); validJSON(text) != want {
			t.Fatalf("%q: got %v, want %v", text, !want, want)
		}
	})
}
