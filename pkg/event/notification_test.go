package event

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func notify(t *testing.T, name string, e Event) string {
	t.Helper()
	v, ok := LookupView(name)
	if !ok {
		t.Fatal("no view " + name)
	}
	b, ok := v.Notification(&e)
	if !ok {
		t.Fatal("the event has no view " + name)
	}
	return string(b)
}

// SR3: all six members present, null written out.
func TestNotificationNulls(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 7, 1, 12, 51, 52, 558e6, time.FixedZone("", 7200))
	system := `"s":{"c":"","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":"2024-07-01T10:51:52.558Z","ea":null,`
	for want, e := range map[string]Event{
		// Nothing known but that it happened.
		`{"e":"portos.resources.changed",` + system +
			`"p":{"u":{"u":"SYSTEM","d":"SYSTEM","f":null},"n":"x","a":3,"i":{"i":"","n":"x","v":null},"r":[]}}`: {Topic: "x", Verb: "deleted", Time: at},
		// A document that is no object is nobody's resource.
		`{"e":"portos.resources.changed",` + system +
			`"p":{"u":{"u":"SYSTEM","d":"SYSTEM","f":null},"n":"x","a":2,"i":{"i":"5","n":"x","v":null},"r":[]}}`: {
			Topic: "x", Verb: "updated", Time: at, Subject: "5", Data: []byte(`[1]`),
		},
		// A change document that is broken counts as the object it is.
		`{"e":"portos.resources.changed",` + system +
			`"p":{"u":{"u":"SYSTEM","d":"SYSTEM","f":null},"n":"x","a":1,"i":{"i":"","n":"x","v":null},"r":[{"actor":5}]}}`: {
			Topic: "x", Verb: "created", Time: at, DataSchema: ChangeSchema, Data: []byte(` {"actor":5}`),
		},
		`{"e":"portos.licence.activated",` + system + `"p":null}`:                                                    {Topic: "licence", Verb: "activated", Time: at},
		`{"e":"portos.licence.activated",` + system + `"p":"K-1 \"x\""}`:                                             {Topic: "licence", Verb: "activated", Time: at, DataContentType: "text/plain", Data: []byte(`K-1 "x"`)},
		`{"e":"portos.licence.activated",` + system + `"p":{"k":"<1>"}}`:                                             {Topic: "licence", Verb: "activated", Time: at, Data: []byte("{\n\"k\":\"<1>\"}")},
		`{"e":"SYS_MSG",` + system + `"p":null}`:                                                                     {Type: "SYS_MSG", Time: at},
		`{"e":"PERF",` + system + `"p":"/w=="}`:                                                                      {Type: "PERF", Time: at, DataContentType: "image/png", Data: []byte{0xff}},
		`{"e":"sys.userChangeStatus",` + system + `"p":{"event-sysUserID":"","event-sysClientID":"","status":null}}`: {Topic: "users", Verb: "status", Time: at},
		`{"e":"sys.userChangeStatus",` + system + `"p":{"event-sysUserID":"","event-sysClientID":"","status":3}}`: {
			Topic: "users", Verb: "status", Time: at, Data: []byte(`{"status":3}`),
		},
	} {
		var n Notification
		if err := json.Unmarshal([]byte(want), &n); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, notify(t, n.Event, e)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	mail := "mailer"
	for _, c := range []struct {
		user, device, feature string
		want                  UserIdentity
	}{
		{"", "", "", UserIdentity{"SYSTEM", "SYSTEM", nil}},
		{"anna", "", "", UserIdentity{"anna", "", nil}},
		{"anna", "till-1", "", UserIdentity{"anna", "till-1", nil}},
		{"", "till-1", "", UserIdentity{"SYSTEM", "till-1", nil}},
		{"", "", "mailer", UserIdentity{"SYSTEM", "SYSTEM", &mail}},
	} {
		if diff := cmp.Diff(c.want, identity(c.user, c.device, c.feature)); diff != "" {
			t.Errorf("%+v: %s", c, diff)
		}
	}
}
