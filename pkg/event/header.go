package event

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Headers of the NATS binding. Unlike HTTP's they are case sensitive.
const (
	headerPrefix      = "ce-"
	versionHeader     = headerPrefix + specVersionName
	contentTypeHeader = "Content-Type"
)

// missedName is the extension that says how many occurrences of a schedule did not
// happen before this one.
const missedName = "missed"

// seen is what one pass over the headers found beside the attributes.
type seen struct {
	attributes  bool   // there is a ce-* header
	odd         bool   // one is not in lower case: fold first
	contentType string // of the message
}

// setHeaders reads the ce-* headers. A value that breaks a rule is an error; an
// empty one is absent, and a name that no extension can have is passed over.
func (e *Event) setHeaders(h nats.Header) (s seen, err error) {
	spelling := ""
	for key, values := range h {
		if len(values) == 0 {
			continue
		}
		if attr, ok := strings.CutPrefix(key, headerPrefix); ok {
			s.attributes = true
			known := attributeByName[attr]
			s.odd = s.odd || known == nil && isOdd(key)
			// Headers have no order: of several errors the first in byte order.
			if broken := e.setNATS(known, attr, values[0]); broken != nil && (err == nil || broken.Error() < err.Error()) {
				err = broken
			}
			continue
		}
		// The usual spelling of Content-Type sorts first among those in use.
		if len(key) == len(contentTypeHeader) && (spelling == "" || key < spelling) && strings.EqualFold(key, contentTypeHeader) {
			spelling, s.contentType = key, values[0]
		}
		s.odd = s.odd || isOdd(key)
	}
	return s, err
}

// setNATS reads one header: of an attribute we know, or of any other.
func (e *Event) setNATS(known *attribute, attr, value string) error {
	if value = decodeValue(value); value == "" {
		return nil
	}
	switch {
	case known != nil:
		return known.set(e, value)
	case attr == specVersionName && value != specVersion:
		return invalid(specVersionName, `must be "1.0"`)
	case !extensionName(attr):
		return nil
	}
	// Headers carry no types. Of the one extension of ours that is a number readers
	// know it.
	if n, err := strconv.ParseInt(value, 10, 32); attr == missedName && err == nil {
		return e.setExtension(attr, int32(n))
	}
	return e.setExtension(attr, value)
}

// setExtension keeps an extension; one from a header has no type and is a string.
func (e *Event) setExtension(attr string, value any) error {
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions[attr] = value
	if len(e.Extensions) > maxExtensions {
		return invalid("event", "has more than %d extensions", maxExtensions)
	}
	if s, ok := value.(string); ok {
		return checkText(attr, s)
	}
	return nil
}

// fold gives every ce-* key its lower-case spelling. NATS headers are case
// sensitive and publishers are not: the exact spelling wins, then the first in
// byte order, so that every reader decides alike.
func fold(h nats.Header) nats.Header {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	folded := make(nats.Header, len(h))
	for _, key := range keys {
		lower := key
		if isOdd(key) {
			lower = strings.ToLower(key)
			if _, exact := h[lower]; exact || folded[lower] != nil {
				continue
			}
		}
		folded[lower] = h[key]
	}
	return folded
}

// isOdd says that key is a ce-* header which is not in lower case.
func isOdd(key string) bool {
	if len(key) < len(headerPrefix) || key[2] != '-' || key[0]|0x20 != 'c' || key[1]|0x20 != 'e' {
		return false
	}
	for i := range len(key) {
		if 'A' <= key[i] && key[i] <= 'Z' {
			return true
		}
	}
	return false
}
