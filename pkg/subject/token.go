package subject

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/belfry-events/belfry/pkg/fault"
)

// MaxToken is the longest a foreign token may be, in bytes before escaping.
const MaxToken = 255

// Platform is the tenant token that is ours: rt._.all, clock._.Noon. No foreign
// token escapes to it.
const Platform = "_"

const hexDigits = "0123456789ABCDEF"

// Escape turns a foreign name into one subject token. field names it in the
// error (code invalid_name): empty, or longer than MaxToken bytes. Any bytes
// are allowed, also invalid UTF-8, and Unescape gives them back.
func Escape(field, name string) (string, error) {
	if err := checkLength(fault.InvalidName, field, name); err != nil {
		return "", err
	}
	return escape(name), nil
}

func checkLength(code fault.Code, field, name string) error {
	switch {
	case name == "":
		return fault.Field(code, field, "must not be empty")
	case len(name) > MaxToken:
		return fault.Field(code, field, "%d bytes are above the maximum of %d", len(name), MaxToken)
	}
	return nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

func escape(name string) string {
	n := 0
	for i := range len(name) {
		if !plain(name[i]) {
			n++
		}
	}
	if n == 0 {
		return name
	}
	b := make([]byte, 0, len(name)+2*n)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// Unescape reads a token back. It is lenient, because raw publishers spell
// subjects as they like: "=" that does not begin an escape stays itself.
func Unescape(token string) string {
	if strings.IndexByte(token, '=') < 0 {
		return token
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		if token[i] == '=' && i+2 < len(token) {
			hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, token[i])
	}
	return string(b)
}

// Fold is the form in which topics and verbs are compared: lower case.
func Fold(name string) string { return strings.ToLower(name) }

// CheckTenant says whether a name is inside the grammar: 1 to 255 bytes of UTF-8
// without control characters, and not "*" or ">", which mean "all" wherever
// topics are listed. A tenant must not be "_". Code invalid_name.
func CheckTenant(name string) error {
	if name == Platform {
		return fault.Field(fault.InvalidName, "tenant", `"_" is the platform's own`)
	}
	return checkName(fault.InvalidName, "tenant", name)
}

// CheckTopic is CheckTenant for topics, which may be "_". Code invalid_topic.
func CheckTopic(name string) error { return checkName(fault.InvalidTopic, "topic", name) }

// CheckVerb is CheckTenant for verbs, which may be "_". Code invalid_verb.
func CheckVerb(name string) error { return checkName(fault.InvalidVerb, "verb", name) }

func checkName(code fault.Code, field, name string) error {
	if err := checkLength(code, field, name); err != nil {
		return err
	}
	switch {
	case !utf8.ValidString(name):
		return fault.Field(code, field, "is not valid UTF-8")
	case name == "*" || name == ">":
		return fault.Field(code, field, "%q is a wildcard, not a name", name)
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fault.Field(code, field, "contains a control character")
	case len(Fold(name)) > MaxToken:
		return fault.Field(code, field, "is above %d bytes in lower case", MaxToken)
	}
	return nil
}
