package subject

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestRT2EveryUserHasALiteralSubject(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Recipient{
		"rt._.all":                   {},
		"rt.AA.all":                  {Tenant: "AA"},
		"rt.AA.u.anna":               {"AA", "anna"},
		"rt.AA.u.all":                {"AA", "all"},
		"rt.AA.u.a=2Eb=40x=2Ecz":     {"AA", "a.b@x.cz"},
		"rt.AA.u.=2A":                {"AA", "*"},
		"rt.AA.u.=3E":                {"AA", ">"},
		"rt.a=2Eb.u.=C5=BElut=C3=BD": {"a.b", "žlutý"},
	} {
		got, err := r.Subject()
		if err != nil || got != want {
			t.Errorf("%v: %q %v, want %q", r, got, err, want)
		}
		if back, ok := ParseRealtime(got); !ok || back != r {
			t.Errorf("%q is %v %v, want %v", got, back, ok, r)
		}
	}
	for _, r := range []Recipient{{"", "anna"}, {"_", ""}, {"_", "anna"}, {"AA", strings.Repeat("x", 256)}, {"*", ""}} {
		if s, err := r.Subject(); fault.CodeOf(err) != fault.InvalidName {
			t.Errorf("%v: %q %v, want invalid_name", r, s, err)
		}
	}
}

func TestParseWhatIsNeverStored(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "rt", "rt.", "rt.AA", "rt.AA.", "rt.AA.u", "rt.AA.u.", "rt.AA.u.a.b", "rt.AA.all.x", "rt..all", "rt._.u.anna", "RT.AA.all",
		"evt.AA.u.anna", "rt.AA.x.anna", "rt._.all.x",
	} {
		if r, ok := ParseRealtime(s); ok {
			t.Errorf("%q is no recipient's subject, and gave %v", s, r)
		}
	}
	if r, ok := ParsePresence("presence.AA.a=2Eb"); !ok || r != (Recipient{"AA", "a.b"}) {
		t.Errorf("presence: %v %v", r, ok)
	}
	for _, s := range []string{"presence.AA", "presence.AA.", "presence.AA.b.c", "presence._.b", "clock.AA.b"} {
		if r, ok := ParsePresence(s); ok {
			t.Errorf("%q gave %v", s, r)
		}
	}
	type clock struct {
		tenant, name string
		ok           bool
	}
	for s, want := range map[string]clock{
		"clock._.Noon": {"", "Noon", true}, "clock.AA.BOD": {"AA", "BOD", true},
		"clock.AA": {"AA", "", false}, "clock.AA.b.c": {"AA", "b.c", false}, "presence._.Noon": {},
	} {
		tenant, name, ok := ParseClock(s)
		if diff := cmp.Diff(want, clock{tenant, name, ok}, cmp.AllowUnexported(clock{})); diff != "" && (want.ok || ok) {
			t.Errorf("%q: %s", s, diff)
		}
	}
}

// No user of any name shares a subject with another, or matches a pattern that
// is not made for him.
func TestUsersAreKeptApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.Custom(func(t *rapid.T) Recipient {
			return Recipient{rapid.StringN(1, 20, 60).Draw(t, "tenant"), rapid.StringN(1, 20, 60).Draw(t, "user")}
		})
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		sa, erra := a.Subject()
		sb, errb := b.Subject()
		if erra != nil || errb != nil {
			return
		}
		if (sa == sb) != (a == b) || Match(sa, sb) != (a == b) {
			t.Fatalf("%q and %q: %q and %q", a, b, sa, sb)
		}
		if got, ok := ParseRealtime(sa); !ok || got != a {
			t.Fatalf("%q came back as %q %v", a, got, ok)
		}
	})
}
