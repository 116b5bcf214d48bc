package event

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/belfry-events/belfry/pkg/fault"
)

// kind is the CloudEvents type of an attribute we know.
type kind uint8

const (
	kindText    kind = iota // String, URI or URI-reference
	kindName                // the same, and never empty when present
	kindTime                // Timestamp: RFC 3339
	kindInteger             // 64 bits; in JSON a number only where CloudEvents' 32 bits allow
	kindBoolean             // "true" or "false"
)

// attribute is one row of the table that every format reads and writes.
type attribute struct {
	name   string
	header string // its NATS header, ce-<name>
	member string // how it begins in our JSON, with the comma before it
	kind   kind
	field  func(*Event) any // *string, *time.Time, **int64, **bool or *bool
}

func row(name string, k kind, field func(*Event) any) attribute {
	return attribute{name, headerPrefix + name, `,"` + name + `":`, k, field}
}

// attributes are CloudEvents' own and Belfry's extensions, in the order in
// which they are written. specversion is not among them: it is always "1.0".
var attributes = [...]attribute{
	row("id", kindName, func(e *Event) any { return &e.ID }),
	row("source", kindName, func(e *Event) any { return &e.Source }),
	row("type", kindName, func(e *Event) any { return &e.Type }),
	row("subject", kindName, func(e *Event) any { return &e.Subject }),
	row("time", kindTime, func(e *Event) any { return &e.Time }),
	row("datacontenttype", kindName, func(e *Event) any { return &e.DataContentType }),
	row("dataschema", kindName, func(e *Event) any { return &e.DataSchema }),
	row("tenant", kindText, func(e *Event) any { return &e.Tenant }),
	row("topic", kindText, func(e *Event) any { return &e.Topic }),
	row("verb", kindText, func(e *Event) any { return &e.Verb }),
	row("recipient", kindText, func(e *Event) any { return &e.Recipient }),
	row("correlationid", kindText, func(e *Event) any { return &e.CorrelationID }),
	row("expirytime", kindTime, func(e *Event) any { return &e.ExpiryTime }),
	row("objectversion", kindInteger, func(e *Event) any { return &e.ObjectVersion }),
	row("senderconnection", kindText, func(e *Event) any { return &e.SenderConnection }),
	row("senderuser", kindText, func(e *Event) any { return &e.SenderUser }),
	row("senderdevice", kindText, func(e *Event) any { return &e.SenderDevice }),
	row("senderfeature", kindText, func(e *Event) any { return &e.SenderFeature }),
	row("frm", kindBoolean, func(e *Event) any { return &e.Frm }),
	row("unannounced", kindBoolean, func(e *Event) any { return &e.Unannounced }),
	row("malformed", kindText, func(e *Event) any { return &e.Malformed }),
}

var attributeByName = func() map[string]*attribute {
	m := make(map[string]*attribute, len(attributes))
	for i := range attributes {
		m[attributes[i].name] = &attributes[i]
	}
	return m
}()

const (
	specVersion     = "1.0"
	specVersionName = "specversion"
)

// maxExtensions is how many extensions one event may have; maxMembers follows
// from it for an event in JSON.
const (
	maxExtensions = 200
	maxMembers    = maxExtensions + len(attributes) + 3 // specversion, data, data_base64
)

// extensionName says whether s may name an extension: lower-case letters and
// digits (CloudEvents 1.0 §3.1), other than what the envelope needs itself. The
// 20 characters it advises are not enforced.
func extensionName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || 'z' < c) && (c < '0' || '9' < c) {
			return false
		}
	}
	return s != "" && s != specVersionName && s != "data"
}

// maxName is how much of a foreign attribute's name an error repeats, in bytes.
const maxName = 64

func invalid(attr, format string, args ...any) error {
	if len(attr) > maxName {
		attr = strings.ToValidUTF8(attr[:maxName], "") + "…"
	}
	return fault.Field(fault.InvalidEvent, attr, format, args...)
}

// set reads the attribute from its canonical text. Code invalid_event.
func (a *attribute) set(e *Event, s string) error {
	if a.kind == kindName && s == "" {
		return invalid(a.name, "must not be empty")
	}
	switch f := a.field(e).(type) {
	case *string:
		*f = s
		return checkText(a.name, s)
	case *time.Time:
		return setTime(a.name, f, s)
	case **int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return invalid(a.name, "is not a whole number of 64 bits")
		}
		*f = &n
	case **bool:
		b, err := parseBool(a.name, s)
		*f = &b
		return err
	case *bool:
		b, err := parseBool(a.name, s)
		*f = b
		return err
	}
	return nil
}

func parseBool(attr, s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, invalid(attr, "is neither true nor false")
	}
	return s == "true", nil
}

func setTime(attr string, t *time.Time, s string) error {
	parsed, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return invalid(attr, "is not an RFC 3339 time")
	}
	if !writable(parsed) {
		return invalid(attr, "is outside the years 0000 to 9999 in UTC")
	}
	*t = parsed
	return nil
}

// writable says whether RFC 3339 can express t in UTC, the zone we write.
func writable(t time.Time) bool {
	y := t.UTC().Year()
	return 0 <= y && y <= 9999
}

// canonical is the attribute's text as headers carry it; ok is false when it is
// absent.
func (a *attribute) canonical(e *Event) (s string, ok bool) {
	switch f := a.field(e).(type) {
	case *string:
		return *f, *f != ""
	case *time.Time:
		if f.IsZero() {
			return "", false
		}
		return f.UTC().Format(time.RFC3339Nano), true
	case **int64:
		if *f == nil {
			return "", false
		}
		return strconv.FormatInt(**f, 10), true
	case **bool:
		if *f == nil {
			return "", false
		}
		return strconv.FormatBool(**f), true
	case *bool:
		return "true", *f
	}
	return "", false
}

// fits32 says whether n is an Integer of CloudEvents.
func fits32(n int64) bool { return math.MinInt32 <= n && n <= math.MaxInt32 }

// checkText holds a string against CloudEvents 1.0 §3.1 String: Unicode without
// control characters, surrogates and non-characters.
func checkText(attr, s string) error {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return invalid(attr, "contains a control character")
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return invalid(attr, "is not valid UTF-8")
		case r <= 0x9f:
			return invalid(attr, "contains a control character")
		case 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe:
			return invalid(attr, "contains a Unicode non-character")
		}
		i += size
	}
	return nil
}
