package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// SR2: what is one subscription, and what is another.
func TestSR2Normalise(t *testing.T) {
	t.Parallel()
	s := &Service{config: Default()}
	read := func(text string) filter {
		t.Helper()
		f, err := s.hubFilter([]json.RawMessage{json.RawMessage(text)})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return f
	}
	for _, same := range [][]string{
		{`{"e":"portos.resources.changed"}`, `{"e":"PORTOS.Resources.Changed","r":null}`, `{"e":"portos.resources.changed","r":[]}`},
		{
			`{"e":"portos.resources.changed","r":[{"n":"a","a":["created","updated"]},{"n":"B"}]}`,
			`{"e":"portos.resources.changed","r":[{"n":"b","a":[]},{"n":"A","a":["Updated","created","created"]}]}`,
			`{"e":"portos.resources.changed","r":[{"n":"b","a":null},{"n":"a","a":["updated"]},{"n":"a","a":["created"]}]}`,
		},
	} {
		for _, text := range same[1:] {
			if read(text) != read(same[0]) {
				t.Errorf("%s is not %s", text, same[0])
			}
		}
	}
	if read(`{"e":"portos.resources.changed","r":[{"n":"a"}]}`) == read(`{"e":"portos.resources.changed","r":[{"n":"a","a":["created","updated","deleted"]}]}`) {
		t.Error("no actions and all actions are the same parameters")
	}
	for text, code := range map[string]fault.Code{
		`{"e":"portos.resources.changed","r":[{"n":"a\tb"}]}`:                fault.InvalidTopic,
		`{"e":"portos.resources.changed","r":[{"n":">"}]}`:                   fault.InvalidTopic,
		`{"e":"portos.resources.changed","r":[{"n":"a","a":["activated"]}]}`: fault.InvalidRequest,
		`{"e":"portos.resources.changed","r":[{"n":"a","x":1}]}`:             fault.InvalidRequest,
		`{"e":"sys.newUser","r":[{"n":"a"}]}`:                                fault.InvalidRequest,
		`{"e":"NOT"}`:                                                        fault.UnknownName,
		`{"e":"x"}`:                                                          fault.UnknownName,
		`{"e":"portos.resources.changed","r":[` + strings.Repeat(`{"n":"a"},`, 128) + `{"n":"a"}]}`: fault.TooManySubscriptions,
	} {
		if _, err := s.hubFilter([]json.RawMessage{json.RawMessage(text)}); fault.CodeOf(err) != code {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

// SR2: the actions are the verbs the view is made from.
func TestSR2Actions(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff([]string{"created", "updated", "deleted"}, actions); d != "" {
		t.Error(d)
	}
}

// SR2: grants by resource; and interest on NATS ends with the last subscription.
func TestSR2GrantsAndInterest(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit))
	c := w.hubOpen(w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA", "BB"}, Grants: mustGrants(t, "subscribe:devices"), TTL: time.Hour}))
	for argument, want := range map[string]string{
		`{"e":"portos.resources.changed"}`:                                     "grant_missing",
		`{"e":"portos.licence.activated"}`:                                     "grant_missing",
		`{"e":"portos.resources.changed","r":[{"n":"devices"},{"n":"users"}]}`: "grant_missing",
	} {
		if e := c.call("Subscribe", argument); !strings.Contains(e, "HubException: "+want) {
			t.Errorf("%s: %s", argument, e)
		}
	}
	if got := strings.Count(audit.String(), "grant_missing"); got != 3 {
		t.Errorf("%d refusals are in the audit log: %s", got, audit.String())
	}
	tenants := func() int {
		w.s.hub.mu.Lock()
		defer w.s.hub.mu.Unlock()
		return len(w.s.hub.tenants)
	}
	devices := `{"e":"portos.resources.changed","r":[{"n":"DEVICES","a":["created","deleted"]}]}`
	c.subscribe(devices)
	c.subscribe(devices)
	if n := tenants(); n != 2 {
		t.Errorf("%d tenants are listened to", n)
	}
	w.publish("evt.BB.devices.updated", `{}`)
	w.publish("evt.BB.users.created", `{}`)
	w.publish("evt.BB.devices.created", `{"of":"BB"}`)
	w.publish("evt.AA.devices.deleted", `{"of":"AA"}`)
	if got := c.event() + c.event(); !strings.Contains(got, `"of":"AA"`) || !strings.Contains(got, `"of":"BB"`) {
		t.Error(got)
	}
	if e := c.call("Unsubscribe", devices); e != "" || tenants() != 0 {
		t.Errorf("%s, %d tenants are listened to", e, tenants())
	}
	nobody := w.hubOpen(w.sign(auth.Claims{Subject: "anna", Grants: auth.Everything(), TTL: time.Hour}))
	for _, argument := range []string{devices, `{"e":"portos.licence.activated"}`} {
		if e := nobody.call("Subscribe", argument); !strings.Contains(e, "tenant_forbidden") {
			t.Errorf("%s: %s", argument, e)
		}
	}
}

func mustGrants(t *testing.T, grants ...string) auth.Grants {
	t.Helper()
	gs, err := auth.ParseGrants(grants)
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

// Whatever a client calls Subscribe with, it is refused or means one thing.
func FuzzSubscribe(f *testing.F) {
	for _, seed := range []string{
		`{"e":"portos.resources.changed","r":[{"n":"devices","a":["created","updated","deleted"]}]}`, `{"e":"portos.licence.activated"}`, `{"e":"x","r":null}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	s := &Service{config: Default()}
	p := &auth.Principal{Tenants: []string{"AA"}, Grants: auth.Everything()}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := s.hubFilter([]json.RawMessage{b})
		if err != nil {
			return
		}
		keys, err := got.keys(p)
		if err != nil || len(keys) == 0 {
			t.Fatalf("%q: %+v has no keys: %v", b, got, err)
		}
		for _, k := range keys {
			if got.resources != "" && (k.topic == "" || k.view != resourceChanged) {
				t.Fatalf("%q: %+v", b, k)
			}
		}
	})
}
