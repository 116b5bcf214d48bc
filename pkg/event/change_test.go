package event

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangedOldValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, now, want string }{
		"changed, removed, kept": {`{"a":1,"b":2,"c":{"x": 1}}`, `{"a":2,"c":{"x":1},"d":4}`, `{"a":1,"b":2}`},
		"no new values":          {`{"a":1}`, ``, `{"a":1}`},
		"no old values":          {``, `{"a":1}`, `{}`},
		"nothing changed":        {`{"a":1}`, `{"a":1}`, `{}`},
	} {
		change := Change{Old: json.RawMessage(c.old), New: json.RawMessage(c.now)}
		if c.old == "" {
			change.Old = nil
		}
		if c.now == "" {
			change.New = nil
		}
		if got := string(marshal(change.changedOld())); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What SetChange writes, Change reads back, completed from the envelope.
func TestChangeRoundTrip(t *testing.T) {
	t.Parallel()
	e := Event{Subject: "5", ObjectVersion: new(int64(3)), SenderUser: "anna", SenderDevice: "till-1"}
	e.SetChange(Change{Action: "restore", New: json.RawMessage(`{"a":1}`)})
	want := Change{
		Actor: &Actor{User: "anna", Device: "till-1"}, Action: "restore", Resource: Resource{ID: "5", Version: new(int64(3))},
		Affected: []json.RawMessage{json.RawMessage(`{"a":1}`)}, New: json.RawMessage(`{"a":1}`),
	}
	if diff := cmp.Diff(want, e.Change()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if e.DataSchema != ChangeSchema {
		t.Errorf("schema %q", e.DataSchema)
	}
}
