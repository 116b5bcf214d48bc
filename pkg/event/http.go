package event

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
)

// FromHTTP reads the events of an HTTP request in any mode of the CloudEvents
// HTTP binding: binary (Ce-* headers), structured (application/cloudevents+json)
// or batch (application/cloudevents-batch+json; batch is true, and there may be
// none). Like ParseJSON it is strict about what is there and leaves what is
// missing to Complete and Validate; binary data without a Content-Type is JSON.
//
// Codes: not_a_cloudevent (no mode fits), unsupported_content_type (an event
// format or charset we do not read), invalid_event.
func FromHTTP(h http.Header, body []byte) (events []Event, batch bool, err error) {
	ct := h.Get("Content-Type")
	switch t := media(ct); {
	case t == envelopeType || t == envelopeType+jsonSuffix:
		if err := checkCharset(ct); err != nil {
			return nil, false, err
		}
		e, err := ParseJSON(body)
		if err != nil {
			return nil, false, err
		}
		return []Event{e}, false, nil
	case t == batchType || t == batchType+jsonSuffix:
		if err := checkCharset(ct); err != nil {
			return nil, true, err
		}
		events, err := parseBatch(body)
		return events, true, err
	case strings.HasPrefix(t, envelopeType):
		return nil, false, fault.Field(fault.UnsupportedContentType, "content-type",
			"the only event format is JSON: %s%s or %s%s", envelopeType, jsonSuffix, batchType, jsonSuffix)
	}
	e, err := binary(h, body)
	if err != nil {
		return nil, false, err
	}
	return []Event{e}, false, nil
}

func checkCharset(contentType string) error {
	if !utf8Only(contentType) {
		return fault.Field(fault.UnsupportedContentType, "content-type", "the charset of JSON must be utf-8")
	}
	return nil
}

// parseBatch reads a JSON array of events (JSON format §4). One that is wrong
// refuses all, and the error says which.
func parseBatch(body []byte) ([]Event, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return nil, invalid("events", "a batch is a JSON array of events")
	}
	events := make([]Event, 0, len(raw))
	for i, r := range raw {
		e, err := ParseJSON(r)
		if err != nil {
			return nil, indexed(i, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// indexed adds the position in a batch to an error.
func indexed(i int, err error) error {
	f := fault.From(err)
	prefix := fmt.Sprintf("events[%d].", i)
	return fault.New(f.Code(), "%s%s", prefix, f.Error()).With("field", prefix+f.Details()["field"])
}

// binary reads Ce-* headers. Their names fold to lower case, as HTTP wants.
func binary(h http.Header, body []byte) (Event, error) {
	e := Event{Data: body, DataContentType: h.Get("Content-Type")}
	if len(body) == 0 {
		e.Data = nil
	}
	if e.DataContentType != "" {
		if err := checkText("datacontenttype", e.DataContentType); err != nil {
			return Event{}, err
		}
	}
	found := map[string]bool{}
	for _, key := range sortedKeys(h) {
		attr, ok := strings.CutPrefix(strings.ToLower(key), headerPrefix)
		if !ok || len(h[key]) == 0 {
			continue
		}
		if found[attr] || len(h[key]) > 1 {
			return Event{}, invalid(attr, "is there twice")
		}
		found[attr] = true
		if err := e.setHeader(attr, decodeValue(h[key][0])); err != nil {
			return Event{}, err
		}
	}
	switch {
	case len(found) == 0:
		return Event{}, fault.New(fault.NotACloudEvent,
			"no ce-* headers and no %s%s content type: this is not a CloudEvent", envelopeType, jsonSuffix)
	case !found[specVersionName]:
		return Event{}, invalid(specVersionName, `must be "1.0"`)
	}
	return e, e.checkClaim()
}

func (e *Event) setHeader(attr, value string) error {
	switch a := attributeByName[attr]; {
	case attr == specVersionName:
		if value != specVersion {
			return invalid(attr, `must be "1.0"`)
		}
		return nil
	case attr == "datacontenttype":
		return invalid(attr, "travels as Content-Type over HTTP")
	case a != nil:
		return a.set(e, value)
	case !extensionName(attr):
		return invalid(attr, "is not the name of an attribute: lower-case letters and digits only")
	}
	return e.setExtension(attr, value)
}

// sortedKeys makes the error for a request with two faults always the same.
func sortedKeys(h http.Header) []string {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
