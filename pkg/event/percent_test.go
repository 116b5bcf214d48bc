package event

import (
	"testing"

	"pgregory.net/rapid"
)

func TestHeaderValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, value string }{
		{"plain-value/1.0~!", "plain-value/1.0~!"},
		// The example of the HTTP binding, §3.1.3.2.
		{`Euro € 😀`, "Euro%20%E2%82%AC%20%F0%9F%98%80"},
		{`say "5%"`, "say%20%225%25%22"},
		{"a\tb\x7f", "a%09b%7F"},
	} {
		if got := encodeValue(c.text, 0); got != c.value {
			t.Errorf("encode %q: %q, want %q", c.text, got, c.value)
		}
		if got := decodeValue(c.value); got != c.text {
			t.Errorf("decode %q: %q, want %q", c.value, got, c.text)
		}
	}
}

// What only other encoders send.
func TestForeignHeaderValues(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"quoted value"`:          "quoted value",
		`"with \"quotes\" \\ in"`: `with "quotes" \ in`,
		`"`:                       `"`,
		`"half`:                   `"half`,
		`""`:                      "",
		"100%":                    "100%",
		"5%2":                     "5%2",
		"%zz%41":                  "%zzA",
		"%2541":                   "%41", // decoded once
		"%e2%82%ac":               "€",
	} {
		if got := decodeValue(value); got != want {
			t.Errorf("decode %q: %q, want %q", value, got, want)
		}
	}
}

func TestHeaderValuesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		v := encodeValue(s, '/')
		for i := range len(v) {
			if v[i] <= ' ' || v[i] > '~' || v[i] == '/' {
				t.Fatalf("%q is not fit for a header", v)
			}
		}
		if got := decodeValue(v); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
