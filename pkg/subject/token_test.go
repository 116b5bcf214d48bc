package subject

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"AA":                       "AA",
		"web-1":                    "web-1",
		"a.b@x.cz":                 "a=2Eb=40x=2Ecz",
		"*":                        "=2A",
		">":                        "=3E",
		"_":                        "=5F",
		"=":                        "=3D",
		"=2E":                      "=3D2E",
		" ":                        "=20",
		"Žofie":                    "=C5=BDofie",
		"\xff\x00":                 "=FF=00",
		strings.Repeat(".", 255):   strings.Repeat("=2E", 255),
		"573f4511088c772684a738f8": "573f4511088c772684a738f8",
	} {
		got, err := Escape("user", name)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", name, got, err, want)
		}
		if back := Unescape(got); back != name {
			t.Errorf("%q came back as %q", name, back)
		}
	}
}

func TestEscapeRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", strings.Repeat("x", 256), strings.Repeat("€", 100)} {
		_, err := Escape("user", name)
		if fault.CodeOf(err) != fault.InvalidName || fault.From(err).Details()["field"] != "user" {
			t.Errorf("%d bytes: %v", len(name), err)
		}
	}
}

// Raw publishers write tokens that Escape would not.
func TestUnescapeIsLenient(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"":        "",
		"=":       "=",
		"=4":      "=4",
		"=4g":     "=4g",
		"=2e":     "=2e", // lower-case hex is not ours
		"a=2Eb=2": "a.b=2",
		"==2E":    "=.",
		"_":       "_",
	} {
		if got := Unescape(token); got != want {
			t.Errorf("%q: %q, want %q", token, got, want)
		}
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	good := []string{"INVOICES", "a.b@x.cz", "com.erp/invoices", "faktury přijaté", "x", strings.Repeat("x", 255), "**", ">>"}
	for _, name := range good {
		for _, check := range []func(string) error{CheckTenant, CheckTopic, CheckVerb} {
			if err := check(name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	bad := []string{"", "*", ">", strings.Repeat("x", 300), "a\nb", "\x00", "\u0085", "\xff", strings.Repeat("Ⱥ", 127)}
	for _, name := range bad {
		for code, check := range map[fault.Code]func(string) error{
			fault.InvalidName: CheckTenant, fault.InvalidTopic: CheckTopic, fault.InvalidVerb: CheckVerb,
		} {
			if err := check(name); fault.CodeOf(err) != code {
				t.Errorf("%.20q: %v, want %s", name, err, code)
			}
		}
	}
	// "_" is the platform among tenants only.
	if CheckTenant("_") == nil || CheckTopic("_") != nil || CheckVerb("_") != nil {
		t.Error(`"_" must be refused as a tenant, and only there`)
	}
}

// literal says whether s is one literal NATS token that also fits a key-value key.
func literal(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-=") == ""
}

func TestEscapeRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte(), 1, MaxToken).Draw(t, "name"))
		token, err := Escape("user", name)
		if err != nil || !literal(token) || token == Platform {
			t.Fatalf("%q became %q, %v", name, token, err)
		}
		if back := Unescape(token); back != name {
			t.Fatalf("%q came back as %q", name, back)
		}
	})
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"AA", "a.b@x.cz", "*", "_", "=2E", "\xff", "Ⱥ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		token, err := Escape("user", name)
		if err != nil {
			if name != "" && len(name) <= MaxToken {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		if !literal(token) || Unescape(token) != name {
			t.Fatalf("%q became %q and came back as %q", name, token, Unescape(token))
		}
	})
}
