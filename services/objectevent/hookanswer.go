package objectevent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAnswer is the longest answer of a hook, in bytes; maxReason the part of its
// reason that is kept.
const (
	maxAnswer = 4 << 10
	maxReason = 500
)

// hookSays is what a hook answers:
//
//	{"allow": true}
//	{"allow": false, "reason": "is the only administrator"}
type hookSays struct {
	allow  bool
	reason string // without control characters, at most maxReason bytes
}

// parseAnswer reads an answer and is strict, because what it cannot read must not
// become a permission: one object, allow a boolean that is there once, reason text,
// nothing else and nothing behind.
func parseAnswer(b []byte) (says hookSays, err error) {
	switch {
	case len(b) > maxAnswer:
		return says, fmt.Errorf("the answer is above %d bytes", maxAnswer)
	case !utf8.Valid(b):
		return says, errors.New("the answer is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return says, errors.New(`the answer is not a JSON object like {"allow":true}`)
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return says, errors.New("the answer is not valid JSON")
		}
		key, _ := name.(string) // inside an object it is one
		if seen[key] {
			return says, fmt.Errorf("the answer has %.32q twice", key)
		}
		seen[key] = true
		value, err := d.Token()
		if err != nil {
			return says, errors.New("the answer is not valid JSON")
		}
		var ok bool
		switch key {
		case "allow":
			says.allow, ok = value.(bool)
		case "reason":
			says.reason, ok = value.(string)
		default:
			return says, fmt.Errorf("the answer has %.32q; it may have allow and reason", key)
		}
		if !ok {
			return says, fmt.Errorf("%s of the answer has another type", key)
		}
	}
	if _, err := d.Token(); err != nil {
		return says, errors.New("the answer is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return says, errors.New("something follows the answer")
	}
	if !seen["allow"] {
		return says, errors.New("the answer has no allow")
	}
	says.reason = tame(says.reason)
	return says, nil
}

// tame makes a stranger's text fit for logs and terminals.
func tame(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return strings.TrimSpace(s)
}
