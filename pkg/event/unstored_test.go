package event

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

func TestRT1TheSubjectSaysWhomARealtimeEventIsFor(t *testing.T) {
	t.Parallel()
	at := Stored{Time: time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC)}
	type seen struct{ Tenant, Recipient, Subject, Type, Topic, Malformed string }
	for _, c := range []struct {
		subject string
		header  nats.Header
		want    seen
	}{
		{"rt.AA.u.anna", nats.Header{"ce-type": {"mail"}, "ce-tenant": {"BB"}, "ce-recipient": {"eva"}, "ce-topic": {"x"}, "ce-verb": {"y"}}, seen{Tenant: "AA", Recipient: "anna", Type: "MAIL"}},
		{"rt.AA.all", nats.Header{"ce-type": {"ACME_PING"}}, seen{Tenant: "AA", Type: "ACME_PING"}},
		{"rt._.all", nil, seen{Type: "unknown"}},
		{"rt.AA.u.=2A", nats.Header{"ce-type": {"frm.time.Noon"}}, seen{Tenant: "AA", Recipient: "*", Type: "unknown", Malformed: "type: is the name of events of another form"}},
		{"rt.AA.u.=FF", nats.Header{"ce-type": {"frm.objectInserted"}}, seen{Tenant: "AA", Recipient: "\uFFFD", Type: "unknown", Malformed: "type: is the name of events of another form"}},
		{"clock._.Noon", nats.Header{"ce-type": {"MAIL"}, "ce-tenant": {"BB"}}, seen{Type: "frm.time.Noon"}},
		{"clock.AA.eod", nil, seen{Tenant: "AA", Type: "frm.time.EOD"}},
		{"presence.AA.a=2Eb", nats.Header{"ce-type": {Online}, "ce-subject": {"eva"}}, seen{Tenant: "AA", Subject: "a.b", Type: Online}},
	} {
		e := Decode(c.subject, c.header, []byte(`{"n":1}`), at)
		got := seen{e.Tenant, e.Recipient, e.Subject, e.Type, e.Topic + e.Verb, e.Malformed}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.subject, diff)
		}
		v, ok := LiveView(&e)
		if !ok || !v.Has(&e) || v.Name != e.Type {
			t.Errorf("%s: its view is %+v %v", c.subject, v, ok)
		}
		if _, ok := v.Notification(&e); !ok {
			t.Errorf("%s has no notification", c.subject)
		}
		if _, err := ParseJSON(e.AppendJSON(nil)); err != nil {
			t.Errorf("%s is written as %s: %v", c.subject, e.AppendJSON(nil), err)
		}
	}
	durable := Decode("evt.AA.x.y", nil, nil, at)
	if _, ok := LiveView(&durable); ok {
		t.Error("a durable event is live")
	}
}
