package subject

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Address{
		"evt.AA.invoices.created":             {"AA", "INVOICES", "Created"},
		"evt.a=2Eb=40x=2Ecz.x.y":              {"a.b@x.cz", "x", "y"},
		"evt.AA.com=2Eerp=2Einvoices.created": {"AA", "com.erp.invoices", "created"},
		"evt.AA.=C5=BElut=C3=BD.y":            {"AA", "ŽLUTÝ", "y"},
		"evt.AA.=5F.=5F":                      {"AA", "_", "_"},
	} {
		got, err := Event(a)
		if err != nil || got != want {
			t.Errorf("%v: %q %v, want %q", a, got, err, want)
		}
	}
	for code, a := range map[fault.Code]Address{
		fault.InvalidName:  {"_", "x", "y"},
		fault.InvalidTopic: {"AA", "*", "y"},
		fault.InvalidVerb:  {"AA", "x", strings.Repeat("v", 300)},
	} {
		if _, err := Event(a); fault.CodeOf(err) != code {
			t.Errorf("%v: %v, want %s", a, err, code)
		}
	}
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Address{
		"evt.AA.INVOICES.created":      {"AA", "INVOICES", "created"},
		"live.evt.AA.INVOICES.created": {"AA", "INVOICES", "created"},
		"evt.a=2Eb.=2A.=3E":            {"a.b", "*", ">"},
	} {
		if got, ok := ParseEvent(s); !ok || got != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "evt", "evt.", "evt.AA", "evt.AA.x", "evt.AA.x.", "evt..x.y", "evt.AA..y", "evt.AA.x.y.z",
		"live.AA.x.y", "live.live.evt.AA.x.y", "ctl.AA.x.y", "EVT.AA.x.y", "rt.AA.u.anna",
	} {
		if a, ok := ParseEvent(s); ok {
			t.Errorf("%q is no event's subject, and gave %v", s, a)
		}
	}
}

func TestOtherSubjects(t *testing.T) {
	t.Parallel()
	tenant, err := TenantEvents("a b")
	live, liveErr := TenantLive("a b")
	if err != nil || liveErr != nil || tenant != "evt.a=20b.>" || live != "live.evt.a=20b.>" {
		t.Errorf("%q %v %q %v", tenant, err, live, liveErr)
	}
	if _, err := TenantEvents("_"); fault.CodeOf(err) != fault.InvalidName {
		t.Errorf("TenantEvents: %v", err)
	}
	if _, err := TenantLive(">"); fault.CodeOf(err) != fault.InvalidName {
		t.Errorf("TenantLive: %v", err)
	}
	for got, want := range map[string]string{
		Live("evt.AA.x.y"):                         "live.evt.AA.x.y",
		Dead("a_b", "abcd1234-000000000000002a"):   "dead.a=5Fb.abcd1234-000000000000002a",
		Service("gateway", "Publish"):              "svc.gateway.Publish",
		MessageID("AA", "/erp", "7"):               "AA//erp/7",
		Roots.Live + Roots.Events + Roots.Presence: "live.>evt.>presence.>",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What Event writes, ParseEvent reads, live or not; topic and verb come back folded.
func TestEventRoundTrip(t *testing.T) {
	t.Parallel()
	name := rapid.StringN(1, 40, MaxToken)
	rapid.Check(t, func(t *rapid.T) {
		a := Address{name.Draw(t, "tenant"), name.Draw(t, "topic"), name.Draw(t, "verb")}
		s, err := Event(a)
		if err != nil {
			if a.Check() == nil {
				t.Fatalf("%q: %v", a, err)
			}
			return
		}
		want := Address{a.Tenant, Fold(a.Topic), Fold(a.Verb)}
		for _, subj := range []string{s, Live(s)} {
			if got, ok := ParseEvent(subj); !ok || got != want {
				t.Fatalf("%q gave %q, %v", subj, got, ok)
			}
		}
		if strings.Count(s, ".") != 3 || strings.ContainsAny(s, " *>\t\r\n") {
			t.Fatalf("%q is not a literal subject", s)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	for _, s := range []string{"evt.AA.invoices.created", "live.evt.AA.=2A.x", "evt...", "evt.=F.=.=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseEvent(s)
		if !ok {
			return
		}
		if a.Tenant == "" || a.Topic == "" || a.Verb == "" {
			t.Fatalf("%q gave an empty name: %q", s, a)
		}
		// Written again it means the same, where the grammar has it at all.
		if again, err := Event(a); err == nil {
			b, ok := ParseEvent(again)
			if !ok || b != (Address{a.Tenant, Fold(a.Topic), Fold(a.Verb)}) {
				t.Fatalf("%q gave %q, and %q gave %q", s, a, again, b)
			}
		}
	})
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{Events, "evt.AA.x.y", true},
	} {
		if got := Match(c.pattern, c.s); got != c.want {
			t.Errorf("%q in %q: %v", c.s, c.pattern, got)
		}
	}
}

func TestRelayAddresses(t *testing.T) {
	t.Parallel()
	if got := RelayCursor("object-events-0"); got != "ctl.relay.object-events-0" {
		t.Error(got)
	}
	if got, err := OperationRecord("AA", "op.1"); got != "ctl.op.AA.op=2E1" || err != nil {
		t.Error(got, err)
	}
	for _, bad := range [][2]string{{"", "1"}, {"AA", ""}} {
		if _, err := OperationRecord(bad[0], bad[1]); fault.CodeOf(err) != fault.InvalidName {
			t.Error(bad, err)
		}
	}
	if got := Key("belfry_relay", "x"); got != "$KV.belfry_relay.x" {
		t.Error(got)
	}
}
