package gateway

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/subject"
)

// SR3: word for word as the wire book has it.
func TestSR3Notification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.hubOpen(w.token())
	c.subscribe(`{"e":"portos.resources.changed"}`)
	book, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(name string) string {
		found := regexp.MustCompile("(?m)^```json " + name + "\n(.*)$").FindSubmatch(book)
		if found == nil {
			t.Fatal("the wire book has no " + name)
		}
		return string(found[1])
	}
	w.publishMsg(&nats.Msg{
		Subject: "evt.AA.tickets.created", Data: []byte(block("stored=tickets.created")),
		Header: nats.Header{"Content-Type": {"application/cloudevents+json"}},
	})
	if d := cmp.Diff(block("notification=portos.resources.changed of=tickets.created"), c.event()); d != "" {
		t.Error(d)
	}
	// Bare, from a publisher who knows nothing of us.
	w.publish("evt.AA.Tickets.deleted", `{"number":12}`)
	got := regexp.MustCompile(`"ca":"[^"]*Z"`).ReplaceAllString(c.event(), `"ca":…`)
	if d := cmp.Diff(`{"e":"portos.resources.changed","s":{"c":"","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":…,"ea":null,`+
		`"p":{"u":{"u":"SYSTEM","d":"SYSTEM","f":null},"n":"Tickets","a":3,"i":{"i":"","n":"Tickets","v":null},"r":[{"number":12}]}}`, got); d != "" {
		t.Error(d)
	}
}

// SR2: every name of the views table is one that can be subscribed to.
func TestSR2EveryName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.hubOpen(w.token())
	for _, v := range durableViews {
		c.subscribe(`{"e":"` + strings.ToUpper(v.Name) + `"}`)
	}
	c.subscribe(`{"e":"frm.time.noon"}`)
	c.subscribe(`{"e":"presence"}`)
	w.publish("evt.AA.users.created", `{"name":"Jan"}`)
	var got []string
	for range 3 {
		var n struct{ E string }
		if err := json.Unmarshal([]byte(c.event()), &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n.E)
	}
	if d := cmp.Diff([]string{"frm.objectInserted", "portos.resources.changed", "sys.newUser"}, got); d != "" {
		t.Error(d)
	}
	noon := subject.Clock(subject.Platform, "Noon")
	for range 2 { // the second, because presence may come between
		if err := w.nats.Bus().NC.PublishMsg(&nats.Msg{Subject: noon, Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"frm.time.Noon@2026-01-05T11:02:00Z"}, "ce-source": {"/scheduler"}, "ce-type": {"frm.time.Noon"}, "ce-time": {"2026-01-05T11:02:00.041Z"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		if got := c.event(); strings.Contains(got, "frm.time") {
			if want := `{"e":"frm.time.Noon","s":{"c":"","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":"2026-01-05T11:02:00.041Z","ea":null,"p":null}`; got != want {
				t.Error(cmp.Diff(want, got))
			}
			break
		}
	}
}

// SR4: an event that expires while it waits for a poll is not delivered.
func TestSR4ExpiresInTheQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	query := w.hubNegotiate(token)
	w.call("GET", query, token, "")
	w.call("POST", query, token, `{"protocol":"json","version":1}`+"\x1e"+`{"type":1,"target":"Subscribe","arguments":[{"e":"portos.resources.changed"}]}`+"\x1e")
	ea := time.Now().Add(time.Hour)
	publish := func(id string, ea time.Time) {
		h := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/x"}, "ce-type": {"devices.created"}, "ce-subject": {id}}
		if !ea.IsZero() {
			h.Set("ce-expirytime", ea.UTC().Format(time.RFC3339Nano))
		}
		w.publishMsg(&nats.Msg{Subject: "evt.AA.devices.created", Header: h, Data: []byte(`{}`)})
	}
	publish("first", time.Time{}) // or the answer to the handshake: what waits to be polled
	publish("second", ea)
	publish("third", time.Time{})
	bustest.Eventually(t, patience, "all have been routed", func() bool {
		c := w.s.hub.all()[0]
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, it := range c.queue {
			if it.expires != 0 && bytes.Contains(c.queue[len(c.queue)-1].body, []byte("third")) {
				it.expires = 1 // the hour is over
				return true
			}
		}
		return false
	})
	got := ""
	for !strings.Contains(got, "third") {
		_, body := w.call("GET", query, token, "")
		got += body
	}
	if !strings.Contains(got, "first") || strings.Contains(got, "second") {
		t.Errorf("an expired event came: %q", got)
	}
	w.call("DELETE", query, token, "")
}

// What publishers write is written anew: line breaks in it would be the end of an
// event of a stream, and what is no JSON would be the end of the connection.
func TestSR3AnyData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	query := w.hubNegotiate(token)
	events := w.stream(query, token, "Accept", "text/event-stream")
	w.call("POST", query, token, `{"protocol":"json","version":1}`+"\x1e"+`{"type":1,"target":"Subscribe","arguments":[{"e":"portos.resources.changed"}]}`+"\x1e")
	for data, want := range map[string]string{
		"{\n\t\"a\": 1,\r\n\t\"b\": [\n]\n}": `"r":[{"a":1,"b":[]}]`,
		"{\"a\":\"\\u001e\\n\"}":             `"r":[{"a":"\u001e\n"}]`,
		"not JSON\x1e\n":                     `"r":[`,
		"":                                   `"r":[]`,
		"\xff\xfe":                           `"r":[`,
	} {
		w.publish("evt.AA.devices.created", data)
		text := ""
		for !strings.Contains(text, `"OnEvent"`) {
			var err error
			if text, err = events.in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		message, ended := strings.CutSuffix(strings.TrimPrefix(text, "data: "), "\x1e\r\n")
		var m hubMessage
		if err := json.Unmarshal([]byte(message), &m); err != nil || !ended || len(m.Arguments) != 1 || !strings.Contains(string(m.Arguments[0]), want) {
			t.Errorf("%q: %q %v", data, text, err)
		}
	}
}
