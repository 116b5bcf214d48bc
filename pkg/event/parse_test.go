package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestParseJSON(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members string
		want    Event
	}{
		"null is absent": {`"subject":null,"mine":null,"data_base64":null`, Event{}},
		"types of extensions": {
			`"a":"x","b":true,"c":-5,"objectversion":"123456789012","frm":"false","unannounced":true`,
			Event{
				Extensions:    map[string]any{"a": "x", "b": true, "c": int32(-5)},
				ObjectVersion: new(int64(123456789012)), Frm: new(bool), Unannounced: true,
			},
		},
		"data as it came":         {`"data": { "a":1.0,` + "\n" + `"b":"\u0041" }`, Event{Data: []byte("{ \"a\":1.0,\n\"b\":\"\\u0041\" }")}},
		"data null":               {`"data":null`, Event{Data: []byte("null")}},
		"text":                    {`"datacontenttype":"text/plain","data":"a\nb"`, Event{DataContentType: "text/plain", Data: []byte("a\nb")}},
		"text, null":              {`"datacontenttype":"text/plain","data":null`, Event{DataContentType: "text/plain"}},
		"a value of another type": {`"data":{"a":1},"datacontenttype":"text/plain"`, Event{DataContentType: "text/plain", Data: []byte(`{"a":1}`)}},
		"bytes":                   {`"data_base64":"/wA="`, Event{DataContentType: "application/octet-stream", Data: []byte{0xff, 0}}},
		"bytes that are JSON":     {`"data_base64":"e30="`, Event{Data: []byte(`{}`)}},
		"time with a zone":        {`"time":"2026-01-01T12:00:00+02:00"`, Event{Time: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)}},
		"escaped name and text":   {`"\u0069d":"\u20ac"`, Event{ID: "€"}},
	} {
		got, err := ParseJSON([]byte(` {"specversion":"1.0",` + c.members + "}\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		``:                              "event",
		`[]`:                            "event",
		`{"specversion":"1.0"} {}`:      "event",
		`{"specversion":"1.0",}`:        "event",
		"{\"specversion\":\"\xff\"}":    "event",
		`{}`:                            "specversion",
		`{"specversion":"0.3"}`:         "specversion",
		`{"specversion":1.0}`:           "specversion",
		`{"specversion":"1.0","id":7}`:  "id",
		`{"specversion":"1.0","id":""}`: "id",
		`{"specversion":"1.0","id":"a","id":"b"}`:                                                  "id",
		`{"specversion":"1.0","id":"a\u0000"}`:                                                     "id",
		`{"specversion":"1.0","time":"2026-01-01"}`:                                                "time",
		`{"specversion":"1.0","time":"0000-01-01T00:00:00+01:00"}`:                                 "time",
		`{"specversion":"1.0","frm":1}`:                                                            "frm",
		`{"specversion":"1.0","objectversion":1.5}`:                                                "objectversion",
		`{"specversion":"1.0","objectversion":true}`:                                               "objectversion",
		`{"specversion":"1.0","mine":1.5}`:                                                         "mine",
		`{"specversion":"1.0","mine":2147483648}`:                                                  "mine",
		`{"specversion":"1.0","mine":{}}`:                                                          "mine",
		`{"specversion":"1.0","Mine":"x"}`:                                                         "Mine",
		`{"specversion":"1.0","data":1,"data_base64":"AA=="}`:                                      "data_base64",
		`{"specversion":"1.0","data_base64":5}`:                                                    "data_base64",
		`{"specversion":"1.0","data_base64":"?"}`:                                                  "data_base64",
		`{"specversion":"1.0","data_base64":"/wA=","datacontenttype":"application/json"}`:          "data",
		`{"specversion":"1.0","` + strings.Repeat("x", 100) + `-":1}`:                              strings.Repeat("x", 64) + "…",
		`{"specversion":"1.0","data":` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + `}`: "event",
	} {
		_, err := ParseJSON([]byte(text))
		if fault.CodeOf(err) != fault.InvalidEvent || fault.From(err).Details()["field"] != field {
			t.Errorf("%.100s: %v, want invalid_event naming %s", text, err, field)
		}
	}
	var many strings.Builder
	many.WriteString(`{"specversion":"1.0"`)
	for i := range maxExtensions + 1 {
		many.WriteString(`,"x` + strings.Repeat("x", i) + `":1`)
	}
	if _, err := ParseJSON([]byte(many.String() + "}")); fault.CodeOf(err) != fault.InvalidEvent {
		t.Errorf("%d extensions: %v", maxExtensions+1, err)
	}
}

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	e := Event{
		ID: "a\"b\\c\n\x01\xff€", Source: "/s", Type: "t", DataContentType: "application/json",
		Data: []byte("{\r\n \"a\": 1.50 }"), Extensions: map[string]any{"z": "1", "a": int32(-1), "m": true, "bad": 1.5},
	}
	want := `{"specversion":"1.0","id":"a\"b\\c\n\u0001` + "\uFFFD" + `€","source":"/s","type":"t","datacontenttype":"application/json",` +
		`"a":-1,"m":true,"z":"1","data":{   "a": 1.50 }}`
	if got := string(e.AppendJSON([]byte("x"))); got != "x"+want {
		t.Errorf("got\n%s\nwant\nx%s", got, want)
	}
}
