package event

import (
	"mime"
	"net/url"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
)

// Validate holds a complete event against CloudEvents 1.0 and our grammar, as
// Msg does before it publishes. The error names the attribute: codes
// invalid_event, invalid_name (tenant), invalid_topic, invalid_verb.
func (e *Event) Validate() error {
	for _, check := range append(e.checks(), subject.Address{Tenant: e.Tenant, Topic: e.Topic, Verb: e.Verb}.Check) {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checks are what every event must pass, wherever it belongs.
func (e *Event) checks() []func() error {
	return []func() error{e.checkRequired, e.checkTexts, e.checkURIs, e.checkTimes, e.checkData, e.checkExtensions}
}

func (e *Event) checkRequired() error {
	for _, r := range [...]struct{ attr, value string }{{"id", e.ID}, {"source", e.Source}, {"type", e.Type}} {
		if r.value == "" {
			return invalid(r.attr, "must not be empty")
		}
	}
	return nil
}

func (e *Event) checkTexts() error {
	for i := range attributes {
		a := &attributes[i]
		if s, ok := a.field(e).(*string); ok {
			if err := checkText(a.name, *s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Event) checkURIs() error {
	if _, err := url.Parse(e.Source); err != nil || strings.ContainsRune(e.Source, ' ') {
		return invalid("source", "is not a URI reference")
	}
	if e.DataSchema == "" {
		return nil
	}
	if u, err := url.Parse(e.DataSchema); err != nil || !u.IsAbs() || strings.ContainsRune(e.DataSchema, ' ') {
		return invalid("dataschema", "is not an absolute URI")
	}
	return nil
}

func (e *Event) checkTimes() error {
	for _, t := range [...]struct {
		attr  string
		value time.Time
	}{{"time", e.Time}, {"expirytime", e.ExpiryTime}} {
		if !writable(t.value) {
			return invalid(t.attr, "is outside the years 0000 to 9999 in UTC")
		}
	}
	// Such an event could never be delivered: its publisher confused two clocks or two fields.
	if !e.ExpiryTime.IsZero() && !e.Time.IsZero() && !e.ExpiryTime.After(e.Time) {
		return invalid("expirytime", "is not after time")
	}
	return nil
}

func (e *Event) checkData() error {
	if e.DataContentType != "" && e.DataContentType != jsonType {
		if _, _, err := mime.ParseMediaType(e.DataContentType); err != nil {
			return invalid("datacontenttype", "is not a media type")
		}
	}
	if len(e.Data) > 0 && isJSON(e.DataContentType) && !validJSON(e.Data) {
		return invalid("data", "is not valid JSON; name another datacontenttype if it is not meant to be")
	}
	return nil
}

func (e *Event) checkExtensions() error {
	if len(e.Extensions) > maxExtensions {
		return invalid("event", "has more than %d extensions", maxExtensions)
	}
	for ext, value := range e.Extensions {
		if !extensionName(ext) {
			return invalid(ext, "is not the name of an extension: lower-case letters and digits only")
		}
		if attributeByName[ext] != nil {
			return invalid(ext, "is an attribute with a field of its own, not an extension")
		}
		switch v := value.(type) {
		case string:
			if err := checkText(ext, v); err != nil {
				return err
			}
		case bool, int32:
		default:
			return invalid(ext, "is a %T; extensions are string, bool or int32", v)
		}
	}
	return nil
}
