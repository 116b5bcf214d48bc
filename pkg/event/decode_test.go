package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
)

var (
	storedAt = Stored{Cursor{"abcd1234", 0x2a}, time.Date(2026, 11, 21, 6, 40, 0, 0, time.UTC)}
	created  = "evt.AA.invoices.created"
)

const cursorID = "abcd1234-000000000000002a"

// plain is what a bare message on evt.AA.invoices.created becomes.
func plain(change func(*Event)) Event {
	e := Event{
		ID: cursorID, Source: "/nats", Type: "invoices.created", Time: storedAt.Time,
		Tenant: "AA", Topic: "invoices", Verb: "created",
	}
	change(&e)
	return e
}

func asJSON(e *Event, data string) { e.Data, e.DataContentType = []byte(data), "application/json" }

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		subject string
		header  nats.Header
		data    string
		want    Event
	}{
		"bare JSON": {created, nil, `{"a":1}`, plain(func(e *Event) { asJSON(e, `{"a":1}`) })},
		"bare, live, upper case": {
			"live.evt.AA.INVOICES.Created",
			nats.Header{"Nats-Msg-Id": {"AA/erp/7"}},
			`5`,
			plain(func(e *Event) { asJSON(e, `5`); e.ID, e.Topic, e.Verb = "AA/erp/7", "INVOICES", "Created" }),
		},
		"bare text": {created, nil, "hello\n", plain(func(e *Event) {
			e.Data, e.DataContentType = []byte("hello\n"), "text/plain"
			e.Malformed = "data: is not JSON, and no datacontenttype says what it is"
		})},
		"bare bytes": {created, nil, "\xff\x00", plain(func(e *Event) {
			e.Data, e.DataContentType = []byte("\xff\x00"), "application/octet-stream"
			e.Malformed = "data: is not JSON, and no datacontenttype says what it is"
		})},
		"bare, JSON with a broken character": {created, nil, "\"\xff\"", plain(func(e *Event) {
			e.Data, e.DataContentType = []byte("\"\xff\""), "application/octet-stream"
			e.Malformed = "data: is not JSON, and no datacontenttype says what it is"
		})},
		"bare, empty": {created, nil, "", plain(func(*Event) {})},
		"bare, HTTP's header": {created, nats.Header{"content-type": {"text/csv"}}, "a;b", plain(func(e *Event) {
			e.Data, e.DataContentType = []byte("a;b"), "text/csv"
		})},
		"binary, spelling kept": {
			created, nats.Header{
				"ce-specversion": {"1.0"}, "ce-id": {"7"}, "ce-source": {"/erp"}, "ce-type": {"com.erp.invoice"},
				"ce-topic": {"INVOICES"}, "ce-verb": {"CREATED"}, "ce-tenant": {"AA"}, "ce-time": {"2026-01-01T12:00:00+01:00"},
				"ce-subject": {"f%20%E2%82%AC"}, "ce-objectversion": {"9007199254740993"}, "ce-frm": {"false"}, "ce-mine": {"%22"},
			}, `{}`, plain(func(e *Event) {
				asJSON(e, `{}`)
				big, no := int64(9007199254740993), false
				e.ID, e.Source, e.Type, e.Topic, e.Verb, e.Subject = "7", "/erp", "com.erp.invoice", "INVOICES", "CREATED", "f €"
				e.Time = time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC)
				e.ObjectVersion, e.Frm, e.Extensions = &big, &no, map[string]any{"mine": `"`}
			}),
		},
		"the subject wins": {
			created,
			nats.Header{"ce-tenant": {"BB"}, "ce-topic": {"orders"}, "ce-verb": {"deleted"}},
			`{}`,
			plain(func(e *Event) { asJSON(e, `{}`) }),
		},
		"any case, exact first": {
			created,
			nats.Header{"Ce-Id": {"b"}, "CE-ID": {"a"}, "ce-source": {"/x", "/y"}, "CE-SOURCE": {"/z"}},
			`{}`,
			plain(func(e *Event) { asJSON(e, `{}`); e.ID, e.Source = "a", "/x" }),
		},
		"names no extension can have": {
			created,
			nats.Header{"ce-my_ext": {"1"}, "ce-": {"1"}, "ce-data": {"1"}, "ce-My": {"1"}, "ce-empty": {""}, "ce-id": {}},
			`{}`,
			plain(func(e *Event) { asJSON(e, `{}`); e.Extensions = map[string]any{"my": "1"} }),
		},
		"broken attribute": {created, nats.Header{"ce-id": {"7"}, "ce-time": {"yesterday"}, "ce-frm": {"perhaps"}}, `{}`, plain(func(e *Event) {
			asJSON(e, `{}`)
			e.Malformed = "frm: is neither true nor false"
		})},
		"broken text": {created, nats.Header{"ce-subject": {"%FF"}}, `{}`, plain(func(e *Event) {
			asJSON(e, `{}`)
			e.Malformed = "subject: is not valid UTF-8"
		})},
		"another version": {created, nats.Header{"ce-specversion": {"0.3"}, "ce-id": {"7"}}, `{}`, plain(func(e *Event) {
			asJSON(e, `{}`)
			e.Malformed = `specversion: must be "1.0"`
		})},
		"called JSON": {
			created, nats.Header{"ce-id": {"7"}, "ce-datacontenttype": {"application/json"}}, `{`, plain(func(e *Event) {
				e.Data, e.DataContentType = []byte(`{`), "text/plain"
				e.Malformed = "data: is called JSON and is not"
			}),
		},
		"structured": {
			created,
			nats.Header{"CONTENT-TYPE": {"Application/CloudEvents+JSON; charset=UTF-8"}},
			`{"specversion":"1.0","id":"7","source":"/erp","type":"t","data":{"a": 1},"n":5}`,
			plain(func(e *Event) {
				asJSON(e, `{"a": 1}`)
				e.ID, e.Source, e.Type, e.Extensions = "7", "/erp", "t", map[string]any{"n": int32(5)}
			}),
		},
		"structured, its type not named": {
			created, nil, `{"specversion":"1.0","id":"7","source":"/erp","type":"t","data":1}`,
			plain(func(e *Event) { asJSON(e, `1`); e.ID, e.Source, e.Type = "7", "/erp", "t" }),
		},
		"a document that only looks like an envelope": {
			created, nil, `{"specversion":"1.0","id":"7"}`, plain(func(e *Event) { asJSON(e, `{"specversion":"1.0","id":"7"}`) }),
		},
		"structured, broken": {
			created,
			nats.Header{"Content-Type": {"application/cloudevents+json"}},
			`{"specversion":"1.0","time":5}`,
			plain(func(e *Event) {
				asJSON(e, `{"specversion":"1.0","time":5}`)
				e.Malformed = "time: is of the wrong JSON type"
			}),
		},
		"structured, another format": {
			created, nats.Header{"Content-Type": {"application/cloudevents+avro"}}, "\x01", plain(func(e *Event) {
				e.Data, e.DataContentType = []byte("\x01"), "text/plain"
				e.Malformed = "content-type: is an event format other than JSON"
			}),
		},
		"structured, another charset": {
			created, nats.Header{"Content-Type": {"application/cloudevents+json; charset=utf-16"}}, `{}`, plain(func(e *Event) {
				asJSON(e, `{}`)
				e.Malformed = "content-type: is not in UTF-8"
			}),
		},
		"a real-time event": {
			"rt.AA.u.anna",
			nats.Header{"ce-type": {"MAIL"}, "ce-tenant": {"AA"}},
			`{}`,
			plain(func(e *Event) { asJSON(e, `{}`); e.Type, e.Topic, e.Verb, e.Recipient = "MAIL", "", "", "anna" }),
		},
		"a subject that says nothing": {"a b\n", nil, ``, plain(func(e *Event) { e.Tenant, e.Topic, e.Verb, e.Type = "", "", "", "unknown" })},
		"outside the grammar": {"evt._.invoices.created", nil, ``, plain(func(e *Event) {
			e.Tenant, e.Malformed = "_", `tenant: "_" is the platform's own`
		})},
		"what no attribute may contain": {"evt.=FF.a=0Ab.c", nil, ``, plain(func(e *Event) {
			e.Tenant, e.Topic, e.Verb, e.Type = "\uFFFD", "a\uFFFDb", "c", "a\uFFFDb.c"
			e.Malformed = "tenant: is not valid UTF-8"
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Decode(c.subject, c.header, []byte(c.data), storedAt)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A message that is not stored and names no id still has one.
func TestDecodeUnstored(t *testing.T) {
	t.Parallel()
	e := Decode("rt.AA.all", nil, nil, Stored{})
	if e.ID == "" || e.Type != unknownType || !e.Time.IsZero() {
		t.Errorf("%+v", e)
	}
}

// A publisher cannot make the reason itself a broken attribute.
func TestReasonIsAnAttribute(t *testing.T) {
	t.Parallel()
	body := `{"specversion":"1.0","` + strings.Repeat(`é\n`, 5000) + `":1}`
	e := Decode(created, nats.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(body), storedAt)
	if e.Malformed == "" || len(e.Malformed) > maxReason || checkText("malformed", e.Malformed) != nil {
		t.Errorf("malformed is %q", e.Malformed)
	}
}

// Slashes in tenant and id do not let two events share a message id.
func TestMessageID(t *testing.T) {
	t.Parallel()
	a := Event{Tenant: "AA", Source: "/a", ID: "b/c"}
	b := Event{Tenant: "AA", Source: "/a/b", ID: "c"}
	if a.messageID() == b.messageID() {
		t.Errorf("both are %q", a.messageID())
	}
	if c := (&Event{Tenant: "AA", Source: "/erp", ID: "x 1"}); c.messageID() != "AA//erp/x%201" {
		t.Errorf("got %q", c.messageID())
	}
}
