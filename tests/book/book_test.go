package book

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// example is a fenced block of JSON; its info string says what it shows.
type example struct{ info, body string }

// shows is the value of a key in the info string: stored, view, of, ….
func (x example) shows(key string) string {
	for word := range strings.FieldsSeq(x.info) {
		if v, ok := strings.CutPrefix(word, key+"="); ok {
			return v
		}
	}
	return ""
}

func book(t *testing.T) string {
	t.Helper()
	_ = os.Getenv("BELFRY_TREE") // a key of go test's cache, see the Makefile
	b, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var fence = regexp.MustCompile("(?ms)^```json (.*?)\n(.*?)\n```$")

func examples(t *testing.T) []example {
	t.Helper()
	var all []example
	for _, m := range fence.FindAllStringSubmatch(book(t), -1) {
		all = append(all, example{m[1], m[2]})
	}
	if len(all) < 20 {
		t.Fatalf("only %d examples found: has the book's form changed?", len(all))
	}
	return all
}

// stored is the events that the catalogue's views are made from.
func stored(t *testing.T) map[string]event.Event {
	t.Helper()
	events := map[string]event.Event{}
	for _, x := range examples(t) {
		name := x.shows("stored")
		if name == "" {
			continue
		}
		e, err := event.ParseJSON([]byte(x.body))
		if err != nil {
			t.Fatalf("%s: %v", x.info, err)
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", x.info, err)
		}
		events[name] = e
	}
	return events
}

// TestStoredEvents writes every stored event back, and publishes and reads it
// as NATS would carry it: the book's text each time.
func TestStoredEvents(t *testing.T) {
	t.Parallel()
	events := stored(t)
	for _, x := range examples(t) {
		e, ok := events[x.shows("stored")]
		if !ok {
			continue
		}
		if diff := cmp.Diff(x.body, string(e.AppendJSON(nil))); diff != "" {
			t.Errorf("%s: (-book +code)\n%s", x.info, diff)
		}
		m, err := e.Msg()
		if err != nil {
			t.Errorf("%s: %v", x.info, err)
			continue
		}
		e = event.Decode(m.Subject, m.Header, m.Data, event.Stored{})
		if diff := cmp.Diff(value(t, x.body), value(t, string(e.AppendJSON(nil)))); diff != "" {
			t.Errorf("%s over NATS: (-book +code)\n%s", x.info, diff)
		}
	}
}

// TestViews computes every view from the stored event it is said to come from.
func TestViews(t *testing.T) {
	t.Parallel()
	events, shown := stored(t), map[string]bool{}
	for _, x := range examples(t) {
		name := x.shows("view") + x.shows("notification")
		if name == "" {
			continue
		}
		e, ok := events[x.shows("of")]
		if !ok {
			t.Errorf("%s: no such stored event in the book", x.info)
			continue
		}
		v, ok := event.LookupView(name)
		if !ok || v.Name != name {
			t.Errorf("%s: no such view", x.info)
			continue
		}
		shown[name] = true
		payload, ok := v.Payload(&e)
		got := []byte(payload)
		if x.shows("notification") != "" {
			got, ok = v.Notification(&e)
		}
		if diff := cmp.Diff(x.body, string(got)); !ok || diff != "" {
			t.Errorf("%s: (-book +code)\n%s", x.info, diff)
		}
	}
	text := book(t)
	for _, v := range event.Views() {
		if v.Form == event.Durable && !shown[v.Name] {
			t.Errorf("the book shows no example of %s", v.Name)
		}
		// The night controls 2 to 4 stand in the range from 1 to 5.
		if !strings.Contains(text, "`"+v.Name+"`") && !strings.HasPrefix(v.Name, "frm.time.timeNightControl") {
			t.Errorf("the book does not name %s", v.Name)
		}
	}
}

// TestRealtimePayloads: the catalogue shows the golden payloads as they are.
func TestRealtimePayloads(t *testing.T) {
	t.Parallel()
	text := book(t)
	for _, v := range event.Views() {
		if v.Form != event.Realtime {
			continue
		}
		golden, err := os.ReadFile("../../proto/testdata/realtime/" + v.Name + ".json")
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(text, "`"+strings.TrimSpace(string(golden))+"`") {
			t.Errorf("the book shows another payload of %s than its golden file", v.Name)
		}
	}
}

// TestCodes: one line for each code, with what the table says of it.
func TestCodes(t *testing.T) {
	t.Parallel()
	text := book(t)
	for _, c := range fault.Codes() {
		line := fmt.Sprintf("| `%s` | %s | %d | %d | %d |", c, c.Kind(), c.HTTPStatus(), c.CloseCode(), c.ExitCode())
		if n := strings.Count(text, "\n"+line); n != 1 {
			t.Errorf("%d lines of the book begin with %s", n, line)
		}
	}
	for _, x := range examples(t) {
		if x.shows("error") == "" {
			continue
		}
		var e fault.Error
		if err := json.Unmarshal([]byte(x.body), &e); err != nil || string(e.Code()) != x.shows("error") {
			t.Errorf("%s: %v", x.info, err)
		}
	}
}

// TestTranscript reads the frames of the WebSocket transcript strictly, after
// filling in what the book leaves out.
func TestTranscript(t *testing.T) {
	t.Parallel()
	full := strings.NewReplacer(`,…}`, `}`, `{…}`, `{}`)
	read := 0
	for line := range strings.Lines(book(t)) {
		who, frame, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !strings.HasPrefix(frame, "{") {
			continue
		}
		frame, _, _ = strings.Cut(full.Replace(frame), "        ")
		var err error
		switch who {
		case "client":
			err = protojson.Unmarshal([]byte(frame), &gatewayv1.ClientFrame{})
		case "server":
			err = protojson.Unmarshal([]byte(frame), &gatewayv1.ServerFrame{})
		default:
			continue
		}
		if read++; err != nil {
			t.Errorf("%s: %v", frame, err)
		}
	}
	if read < 8 {
		t.Errorf("only %d frames found in the transcript", read)
	}
}

func value(t *testing.T, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestQuestions: what a hook is asked is an event, and has the view it is asked as.
func TestQuestions(t *testing.T) {
	t.Parallel()
	found := 0
	for _, x := range examples(t) {
		name := x.shows("question")
		if name == "" {
			continue
		}
		found++
		e, err := event.ParseJSON([]byte(x.body))
		if err != nil {
			t.Fatalf("%s: %v", x.info, err)
		}
		if diff := cmp.Diff(x.body, string(e.AppendJSON(nil))); diff != "" {
			t.Errorf("%s: -book +written:\n%s", x.info, diff)
		}
		if v, ok := event.LookupView(name); !ok || !v.Has(&e) || e.Extensions["asks"] != name {
			t.Errorf("%s: %+v", x.info, e)
		}
	}
	if found == 0 {
		t.Error("the book shows no question to a hook")
	}
}
