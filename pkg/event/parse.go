package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"
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

// splitObject takes the one JSON object apart and refuses a name that comes
// twice, in which parsers would disagree about the meaning.
func splitObject(b []byte) ([]member, error) {
	if !utf8.Valid(b) {
		return nil, invalid("event", "is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid("event", "is not a JSON object")
	}
	var members []member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, invalid("event", "is not valid JSON")
		}
		if seen[key] {
			return nil, invalid(key, "is there twice")
		}
		seen[key] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, invalid(key, "is not valid JSON")
		}
		members = append(members, member{key, value})
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid("event", "is not valid JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, invalid("event", "is followed by something else")
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
		if e.Extensions == nil {
			e.Extensions = map[string]any{}
		}
		e.Extensions[attr] = value
		return nil
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
		if a.kind == boolean {
			return a.set(e, string(raw))
		}
	default:
		if a.kind == integer {
			return a.set(e, string(raw))
		}
	}
	return invalid(attr, "is of the wrong JSON type")
}

func parseText(attr string, raw json.RawMessage) (string, error) {
	var s string
	if isNull(raw) || json.Unmarshal(raw, &s) != nil {
		return "", invalid(attr, "is not a string")
	}
	return s, checkText(attr, s)
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
		var s string
		if json.Unmarshal(encoded, &s) != nil {
			return invalid("data_base64", "is not a string")
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return invalid("data_base64", "is not base64")
		}
		e.Data = b
	case data != nil && !isJSON(e.DataContentType) && data[0] == '"':
		var s string
		if json.Unmarshal(data, &s) != nil {
			return invalid("data", "is not a string")
		}
		e.Data = []byte(s)
	case isJSON(e.DataContentType) || !isNull(data):
		e.Data = data // null is a value in JSON, and nothing in any other type
	}
	return nil
}
