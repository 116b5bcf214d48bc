package event

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var ticket = []byte(`{"id": "573f4511088c772684a738f8", "total": 12.50}`)

// stored is a ticket's change as a publisher without a change document sends it.
func stored(topic, verb string) Event {
	return Event{
		ID: "7", Source: "/portos", Type: topic + "." + verb, Subject: "573f4511088c772684a738f8",
		Time:   time.Date(2024, 7, 1, 12, 51, 52, 558e6, time.UTC),
		Tenant: "AA", Topic: topic, Verb: verb, DataContentType: "application/json", Data: ticket,
	}
}

func changed(topic, verb string, c Change) Event {
	e := stored(topic, verb)
	e.SetChange(c)
	e.ObjectVersion = new(int64(7))
	e.SenderConnection, e.SenderUser, e.SenderDevice = "c1", "api", "server-1"
	e.CorrelationID, e.ExpiryTime = "ref-5", e.Time.Add(time.Hour)
	return e
}

// examples has one event for every row of the table.
func examples() map[string]Event {
	update := Change{
		Actor:    &Actor{User: "999", Device: "BackOffice"},
		Resource: Resource{ID: "573f4511088c772684a738f8", Version: new(int64(8))},
		Old:      json.RawMessage(`{"total":10,"note":"<a & b>","same":[1, 2],"gone":true}`),
		New:      json.RawMessage(`{"total":12.5,"note":"x","same":[1,2]}`),
	}
	examples := map[string]Event{
		"frm.objectInserted":       stored("Tickets", "created"),
		"frm.objectUpdate":         changed("tickets", "updated", update),
		"frm.objectToDelete":       stored("tickets", "deleting"),
		"frm.objectDeleted":        changed("tickets", "deleted", Change{Old: ticket}),
		"portos.resources.changed": stored("tickets", "created"),
		"portos.licence.activated": stored("LICENCE", "activated"),
		"sys.newUser":              stored("users", "created"),
		"sys.userChangeStatus":     changed("users", "status", Change{New: json.RawMessage(`{"status":"locked"}`)}),
		"sys.userDelete":           stored("users", "deleting"),
		"sys.userDeleted":          stored("users", "purged"),
	}
	// The seed's own example, to the letter.
	portos := examples["portos.resources.changed"]
	portos.SetChange(Change{
		Actor: &Actor{User: "999", Device: "BackOffice"}, Resource: Resource{Version: new(int64(7))},
		Affected: []json.RawMessage{ticket, json.RawMessage(`"no object"`)},
	})
	examples["portos.resources.changed"] = portos
	for _, v := range Views() {
		e := stored("", "")
		e.Type, e.Subject = strings.ToUpper(v.Name), ""
		switch v.Form {
		case Clock:
			e.Tenant, e.Data, e.DataContentType = "", nil, ""
			e.Extensions = map[string]any{
				"nominaltime": "2024-07-01T12:02:00Z", "actualtime": "2024-07-01T12:02:00.003Z", "missed": int32(0), "zone": "Europe/Prague",
			}
			examples[v.Name] = e
		case Realtime:
			e.Recipient = "anna"
			examples[v.Name] = e
		}
	}
	return examples
}

// golden is one file: the event, and everything the view makes of it.
type golden struct {
	Of           json.RawMessage `json:"of"`
	Payload      json.RawMessage `json:"payload"`
	Event        json.RawMessage `json:"event"`
	Notification json.RawMessage `json:"notification"`
}

func TestGoldenViews(t *testing.T) {
	t.Parallel()
	of := examples()
	for _, v := range Views() {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			e, ok := of[v.Name]
			if !ok {
				t.Fatal("the table has a row without an example")
			}
			g := golden{Of: e.AppendJSON(nil)}
			var has [3]bool
			g.Payload, has[0] = v.Payload(&e)
			g.Event, has[1] = v.AppendJSON(nil, &e)
			g.Notification, has[2] = v.Notification(&e)
			if has != [3]bool{true, true, true} {
				t.Fatalf("the example has no such view: %v", has)
			}
			compareGolden(t, filepath.Join("testdata", "views", v.Name+".json"), g)
		})
	}
}

func compareGolden(t *testing.T, file string, g golden) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s: -want +got:\n%s", file, diff)
	}
}

// names are the views an event has.
func names(e Event) []string {
	var all []string
	for _, v := range Views() {
		if v.Has(&e) {
			all = append(all, v.Name)
		}
	}
	return all
}

func TestWhichViews(t *testing.T) {
	t.Parallel()
	quiet := func(e Event) Event { e.Frm = new(bool); return e }
	seen := func(e Event) Event { e.Unannounced = true; return e }
	bare := func(e Event) Event { e.SetChange(Change{Action: ActionDelete}); return e }
	for name, c := range map[string]struct {
		e    Event
		want []string
	}{
		"created":            {stored("tickets", "CREATED"), []string{"frm.objectInserted", "portos.resources.changed"}},
		"updated":            {stored("tickets", "updated"), []string{"frm.objectUpdate", "portos.resources.changed"}},
		"deleting":           {stored("tickets", "deleting"), []string{"frm.objectToDelete"}},
		"deleted":            {stored("tickets", "deleted"), []string{"frm.objectDeleted", "portos.resources.changed"}},
		"another verb":       {stored("tickets", "printed"), nil},
		"restored":           {quiet(stored("tickets", "created")), []string{"portos.resources.changed"}},
		"user":               {stored("Users", "created"), []string{"frm.objectInserted", "portos.resources.changed", "sys.newUser"}},
		"user restored":      {quiet(stored("users", "created")), []string{"portos.resources.changed"}},
		"user status":        {stored("users", "status"), []string{"sys.userChangeStatus"}},
		"user deleting":      {stored("users", "deleting"), []string{"frm.objectToDelete", "sys.userDelete"}},
		"user, nobody asked": {seen(stored("users", "deleting")), []string{"frm.objectToDelete"}},
		"user, no trash":     {bare(stored("users", "deleting")), []string{"frm.objectToDelete"}},
		"user purged":        {stored("users", "purged"), []string{"sys.userDeleted"}},
		"licence":            {stored("licence", "activated"), []string{"portos.licence.activated"}},
		"status of others":   {stored("tickets", "status"), nil},
		"real-time":          {Event{Type: "mail"}, []string{"MAIL"}},
		"clock":              {Event{Type: "frm.time.noon"}, []string{"frm.time.Noon"}},
		"passed off":         {Event{Type: "MAIL", Topic: "tickets", Verb: "printed"}, nil},
		"only a type":        {Event{Type: "frm.objectInserted"}, nil},
	} {
		if diff := cmp.Diff(c.want, names(c.e)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	e := stored("tickets", "printed")
	v, _ := LookupView("frm.objectUpdate")
	if dst, ok := v.AppendJSON([]byte("x"), &e); ok || string(dst) != "x" {
		t.Errorf("an event without the view: %q %v", dst, ok)
	}
	if _, ok := v.Notification(&e); ok {
		t.Error("an event without the view has a notification")
	}
}

func TestLookupView(t *testing.T) {
	t.Parallel()
	for _, v := range Views() {
		if got, ok := LookupView(strings.ToUpper(v.Name)); !ok || got.Name != v.Name {
			t.Errorf("%s: found %q, %v", v.Name, got.Name, ok)
		}
	}
	if len(Views()) != 10+18+8 {
		t.Errorf("%d views", len(Views()))
	}
	if _, ok := LookupView("frm.objectForgotten"); ok {
		t.Error("found a name nobody has given")
	}
}
