package event

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestValidateNamesTheAttribute(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]struct {
		code  fault.Code
		spoil func(*Event)
	}{
		"id":              {fault.InvalidEvent, func(e *Event) { e.ID = "" }},
		"source":          {fault.InvalidEvent, func(e *Event) { e.Source = "not a uri" }},
		"type":            {fault.InvalidEvent, func(e *Event) { e.Type = "a\x00b" }},
		"subject":         {fault.InvalidEvent, func(e *Event) { e.Subject = "\xff" }},
		"time":            {fault.InvalidEvent, func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"expirytime":      {fault.InvalidEvent, func(e *Event) { e.ExpiryTime = e.Time }},
		"datacontenttype": {fault.InvalidEvent, func(e *Event) { e.DataContentType = "json;;" }},
		"dataschema":      {fault.InvalidEvent, func(e *Event) { e.DataSchema = "relative" }},
		"data":            {fault.InvalidEvent, func(e *Event) { e.Data = []byte("{") }},
		"tenant":          {fault.InvalidName, func(e *Event) { e.Tenant = "_" }},
		"topic":           {fault.InvalidTopic, func(e *Event) { e.Topic = "*" }},
		"verb":            {fault.InvalidVerb, func(e *Event) { e.Verb = "" }},
		"Upper":           {fault.InvalidEvent, func(e *Event) { e.Extensions = map[string]any{"Upper": "x"} }},
		"data_base64":     {fault.InvalidEvent, func(e *Event) { e.Extensions = map[string]any{"data_base64": "x"} }},
		"recipient":       {fault.InvalidEvent, func(e *Event) { e.Extensions = map[string]any{"recipient": "x"} }},
		"n":               {fault.InvalidEvent, func(e *Event) { e.Extensions = map[string]any{"n": 1.5} }},
		"u":               {fault.InvalidEvent, func(e *Event) { e.Extensions = map[string]any{"u": "\u0085"} }},
		"senderuser":      {fault.InvalidEvent, func(e *Event) { e.SenderUser = "\ufdd0" }},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			e := sample()
			c.spoil(&e)
			err := e.Validate()
			if fault.CodeOf(err) != c.code || fault.From(err).Details()["field"] != field {
				t.Errorf("got %v (%v), want %s naming %s", err, fault.CodeOf(err), c.code, field)
			}
			if _, msgErr := e.Msg(); fault.CodeOf(msgErr) != c.code {
				t.Errorf("Msg: %v", msgErr)
			}
		})
	}
	e := sample()
	if err := e.Validate(); err != nil {
		t.Errorf("the sample: %v", err)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 7, 0, 0, 0, time.FixedZone("", 3600))
	for name, c := range map[string]struct{ in, want Event }{
		"from the type": {
			Event{Type: "com.erp.Invoices.created", Data: []byte(`{}`)},
			Event{
				Type: "com.erp.Invoices.created", Topic: "com.erp.Invoices", Verb: "created",
				Source: "/nats", Time: now, Data: []byte(`{}`), DataContentType: "application/json",
			},
		},
		"from topic and verb": {
			Event{Topic: "INVOICES", Verb: "Created", Source: "/erp"},
			Event{Topic: "INVOICES", Verb: "Created", Type: "invoices.created", Source: "/erp", Time: now},
		},
		"half an address is not completed": {
			Event{Type: "invoices.created", Topic: "invoices"},
			Event{Type: "invoices.created", Topic: "invoices", Source: "/nats", Time: now},
		},
	} {
		c.in.Complete(now)
		if len(c.in.ID) != 22 {
			t.Errorf("%s: id %q", name, c.in.ID)
		}
		c.in.ID = ""
		if diff := cmp.Diff(c.want, c.in); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
