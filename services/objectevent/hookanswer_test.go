package objectevent

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]hookSays{
		`{"allow":true}`: {allow: true},
		` { "reason" : "a\tb\u202ec" , "allow" : false } `:            {reason: "a b c"},
		`{"allow":false,"reason":"` + strings.Repeat("é", 400) + `"}`: {reason: strings.Repeat("é", 250) + "…"},
	} {
		if got, err := parseAnswer([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
}

// FuzzAnswer: what is taken for a permission is one for every other reader of JSON,
// too, and a reason can be shown.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"allow":true}`, `{"allow":false,"reason":"no"}`, `{"allow":true,"allow":false}`, `{"ALLOW":true}`, `{"allow":1}`, `[true]`, `{`, ``,
		`{"allow":true}x`, `{"allow":{"allow":true}}`, `{"reason":"\ud800","allow":true}`, "{\"allow\":true,\"reason\":\"\x00\"}", `{"allow":true,}`, `{"\u0061llow":true}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		says, err := parseAnswer(b)
		if err != nil {
			return
		}
		var members map[string]any
		if json.Unmarshal(b, &members) != nil || members["allow"] != says.allow || len(members) > 2 {
			t.Fatalf("%q is read as %+v", b, says)
		}
		if len(says.reason) > maxReason+len("…") || !utf8.ValidString(says.reason) || strings.ContainsAny(says.reason, "\n\r\x1b\x00") {
			t.Fatalf("the reason %q cannot be shown", says.reason)
		}
	})
}
