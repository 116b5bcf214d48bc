package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
)

// ParseJSON reads one event in the CloudEvents JSON format. It is strict: an
// object with specversion "1.0", every member once, attributes of the right
// type, data or data_base64 but not both. An attribute that is null is absent
// (JSON format §2.2). Whether the required ones are there is left to
// Complete and Validate. Code invalid_event, naming the attribute.
func ParseJSON(b []byte) (Event, error) {
	members, err := splitObject(b)
	if err != nil {
		return Event{}, err
	}
	var e Event
	version := ""
	for _, m := range members {
		switch m.name {
		case "data", "data_base64":
			// Read below: how depends on the content type, which may come later.
		case specVersionName:
			version, err = parseText(m.name, m.value)
		default:
			err = e.setMember(m.name, m.value)
		}
		if err != nil {
			return Event{}, err
		}
	}
	if version != specVersion {
		return Event{}, invalid(specVersionName, `must be "1.0"`)
	}
	if err := e.setData(members); err != nil {
		return Event{}, err
	}
	return e, nil
}

type member struct {
	name  string
	value json.RawMessage
}

// splitObject takes one JSON object apart and refuses a name that comes twice:
// parsers would disagree about the meaning. The values share b.
func splitObject(b []byte) ([]member, error) {
	if !validJSON(b) {
		return nil, invalid("event", "is not valid JSON in UTF-8")
	}
	i := skipSpace(b, 0)
	if b[i] != '{' {
		return nil, invalid("event", "is not a JSON object")
	}
	members := make([]member, 0, 16)
	// Nothing below can go wrong: the text has just been found valid.
	for i = skipSpace(b, i+1); b[i] == '"'; {
		end := skipString(b, i)
		key, err := parseText("event", b[i:end])
		if err != nil {
			return nil, invalid("event", "has a member whose name is not text")
		}
		start := skipSpace(b, skipSpace(b, end)+1)
		end = skipValue(b, start, 1)
		if slices.ContainsFunc(members, func(m member) bool { return m.name == key }) {
			return nil, invalid(key, "is there twice")
		}
		if members = append(members, member{key, b[start:end]}); len(members) > maxMembers {
			return nil, invalid("event", "has more than %d extensions", maxExtensions)
		}
		if i = skipSpace(b, end); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return members, nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// setMember reads an attribute or an extension.
func (e *Event) setMember(attr string, raw json.RawMessage) error {
	a := attributeByName[attr]
	if a == nil && !extensionName(attr) {
		return invalid(attr, "is not the name of an attribute: lower-case letters and digits only")
	}
	if isNull(raw) {
		return nil
	}
	if a == nil {
		value, err := parseExtension(attr, raw)
		if err != nil {
			return err
		}
		return e.setExtension(attr, value)
	}
	// A 64-bit integer and a boolean may also come as their text, which is all
	// that a gateway from another protocol has.
	switch raw[0] {
	case '"':
		s, err := parseText(attr, raw)
		if err != nil {
			return err
		}
		return a.set(e, s)
	case 't', 'f':
		if a.kind == kindBoolean {
			return a.set(e, string(raw))
		}
	default:
		if a.kind == kindInteger {
			return a.set(e, string(raw))
		}
	}
	return invalid(attr, "is of the wrong JSON type")
}

func parseText(attr string, raw json.RawMessage) (string, error) {
	if raw[0] != '"' {
		return "", invalid(attr, "is not a string")
	}
	s := unescape(raw)
	return s, checkText(attr, s)
}

// setBytes keeps data that came as bytes. Bytes of no declared type that are not
// JSON are just bytes; declared JSON must be JSON.
func (e *Event) setBytes(b []byte) error {
	if e.DataContentType == "" && !validJSON(b) {
		e.DataContentType = binaryType
	}
	e.Data = b
	return e.checkClaim()
}

// unescape is the text of a valid JSON string.
func unescape(raw json.RawMessage) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	// It was found valid with the whole event, so there is no error to come.
	_ = json.Unmarshal(raw, &s)
	return s
}

// parseExtension reads a value of a CloudEvents type: string, boolean, or an
// integer of 32 bits.
func parseExtension(attr string, raw json.RawMessage) (any, error) {
	switch raw[0] {
	case '"':
		return parseText(attr, raw)
	case 't', 'f':
		return raw[0] == 't', nil
	case '{', '[':
		return nil, invalid(attr, "is not a string, boolean or integer")
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		return nil, invalid(attr, "is not an integer of 32 bits")
	}
	return int32(n), nil
}

// setData reads data or data_base64 (JSON format §3.1).
func (e *Event) setData(members []member) error {
	var data, encoded json.RawMessage
	for _, m := range members {
		switch m.name {
		case "data":
			data = m.value
		case "data_base64":
			if !isNull(m.value) {
				encoded = m.value
			}
		}
	}
	switch {
	case data != nil && encoded != nil:
		return invalid("data_base64", "is there together with data")
	case encoded != nil:
		if encoded[0] != '"' {
			return invalid("data_base64", "is not a string")
		}
		b, err := base64.StdEncoding.DecodeString(unescape(encoded))
		if err != nil {
			return invalid("data_base64", "is not base64")
		}
		return e.setBytes(b)
	case data != nil && !isJSON(e.DataContentType) && data[0] == '"':
		e.Data = []byte(unescape(data))
	case isJSON(e.DataContentType) || !isNull(data):
		e.Data = data // null is a value in JSON, and nothing in any other type
	}
	return nil
}
