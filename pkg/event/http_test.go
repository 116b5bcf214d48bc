package event

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestFromHTTPBinary(t *testing.T) {
	t.Parallel()
	got, batch, err := FromHTTP(header("CE-Specversion", "1.0", "ce-type", "invoices.created", "Ce-Mine", "a%20b", "X-Other", "1"), []byte(`{}`))
	want := []Event{{Type: "invoices.created", Data: []byte(`{}`), Extensions: map[string]any{"mine": "a b"}}}
	if diff := cmp.Diff(want, got); err != nil || batch || diff != "" {
		t.Errorf("%v %v %s", err, batch, diff)
	}
}

func TestFromHTTPEmptyBatch(t *testing.T) {
	t.Parallel()
	got, batch, err := FromHTTP(header("Content-Type", "application/cloudevents-batch+json"), []byte(" [ ] "))
	if err != nil || !batch || len(got) != 0 {
		t.Errorf("%v %v %v", got, batch, err)
	}
}

func TestFromHTTPRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header http.Header
		body   string
		code   fault.Code
		field  string
	}{
		"plain JSON":           {header("Content-Type", "application/json"), `{"specversion":"1.0"}`, fault.NotACloudEvent, ""},
		"nothing":              {nil, ``, fault.NotACloudEvent, ""},
		"another format":       {header("Content-Type", "application/cloudevents+avro"), ``, fault.UnsupportedContentType, "content-type"},
		"another batch format": {header("Content-Type", "application/cloudevents-batch+xml"), ``, fault.UnsupportedContentType, "content-type"},
		"another charset":      {header("Content-Type", "application/cloudevents+json; charset=latin1"), `{}`, fault.UnsupportedContentType, "content-type"},
		"batch charset":        {header("Content-Type", "application/cloudevents-batch+json; charset=latin1"), `[]`, fault.UnsupportedContentType, "content-type"},
		"structured":           {header("Content-Type", "application/cloudevents+json"), `{}`, fault.InvalidEvent, "specversion"},
		"batch: no array":      {header("Content-Type", "application/cloudevents-batch+json"), `{}`, fault.InvalidEvent, "events"},
		"batch: null":          {header("Content-Type", "application/cloudevents-batch+json"), `null`, fault.InvalidEvent, "events"},
		"batch: the second": {
			header("Content-Type", "application/cloudevents-batch+json"), `[{"specversion":"1.0"},{"specversion":"1.0","id":1}]`,
			fault.InvalidEvent, "events[1].id",
		},
		"no version":      {header("Ce-Id", "7"), ``, fault.InvalidEvent, "specversion"},
		"another version": {header("Ce-Specversion", "0.3"), ``, fault.InvalidEvent, "specversion"},
		"twice":           {header("Ce-Specversion", "1.0", "Ce-Id", "7", "Ce-Id", "8"), ``, fault.InvalidEvent, "id"},
		"two spellings":   {http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}, "ce-id": {"8"}}, ``, fault.InvalidEvent, "id"},
		"empty":           {header("Ce-Specversion", "1.0", "Ce-Id", ""), ``, fault.InvalidEvent, "id"},
		"a time":          {header("Ce-Specversion", "1.0", "Ce-Time", "now"), ``, fault.InvalidEvent, "time"},
		"content type":    {header("Ce-Specversion", "1.0", "Ce-Datacontenttype", "text/plain"), ``, fault.InvalidEvent, "datacontenttype"},
		"a name":          {header("Ce-Specversion", "1.0", "Ce-My-Ext", "x"), ``, fault.InvalidEvent, "my-ext"},
		"an extension":    {header("Ce-Specversion", "1.0", "Ce-Mine", "%00"), ``, fault.InvalidEvent, "mine"},
		"broken type":     {header("Ce-Specversion", "1.0", "Content-Type", "a\x01"), ``, fault.InvalidEvent, "datacontenttype"},
		"data":            {header("Ce-Specversion", "1.0"), `{`, fault.InvalidEvent, "data"},
	} {
		_, _, err := FromHTTP(c.header, []byte(c.body))
		if fault.CodeOf(err) != c.code || fault.From(err).Details()["field"] != c.field {
			t.Errorf("%s: %v (%v), want %s naming %q", name, err, fault.CodeOf(err), c.code, c.field)
		}
	}
}
