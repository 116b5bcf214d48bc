package event

import (
	"bytes"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Decode reads an event from a NATS message, and never fails: JetStream stores
// whatever it is sent, so readers need one answer for everything (see the
// package comment). subj is the subject the message was stored or published
// under, with or without "live."; at says where the log keeps it. For a
// message that is not stored, at.Time may be its arrival.
//
// The event shares its data and strings with the message.
func Decode(subj string, h nats.Header, data []byte, at Stored) Event {
	e, err := decode(h, data)
	if err != nil {
		e = bare(data)
		e.Malformed = reason(err)
	}
	e.setAddress(subj)
	e.setDefaults(subj, h, at)
	return e
}

// decode tells the three modes apart: structured, binary, bare.
func decode(h nats.Header, data []byte) (Event, error) {
	ct := contentType(h)
	if strings.HasPrefix(media(ct), envelopeType) {
		return decodeStructured(ct, data)
	}
	var e Event
	found, err := e.setHeaders(fold(h))
	if err != nil {
		return Event{}, err
	}
	if !found && ct == "" {
		if e, ok := unlabelled(data); ok {
			return e, nil
		}
		return bare(data), nil
	}
	if len(data) > 0 {
		e.Data = data
	}
	// The binding maps datacontenttype to ce-datacontenttype; a publisher who
	// knows HTTP writes Content-Type, and means the same.
	if e.DataContentType == "" && checkText("", ct) == nil {
		e.DataContentType = ct
	}
	if e.DataContentType == "" {
		b := bare(data)
		e.Data, e.DataContentType = b.Data, b.DataContentType
		if e.Malformed == "" {
			e.Malformed = b.Malformed
		}
		return e, nil
	}
	return e, e.checkClaim()
}

func decodeStructured(contentType string, data []byte) (Event, error) {
	if t := media(contentType); t != envelopeType && t != envelopeType+jsonSuffix {
		return Event{}, invalid("content-type", "is an event format other than JSON")
	}
	if !utf8Only(contentType) {
		return Event{}, invalid("content-type", "is not in UTF-8")
	}
	e, err := ParseJSON(data)
	if err != nil {
		return Event{}, err
	}
	if e.DataContentType == "" && len(e.Data) > 0 {
		e.DataContentType = jsonType
	}
	return e, e.checkClaim()
}

// unlabelled recognises structured mode without its Content-Type, which is how
// the CloudEvents SDK for Go publishes on core NATS (protocol/nats/v2). It
// wants every required attribute, so that no ordinary document is taken for an
// envelope.
func unlabelled(data []byte) (Event, bool) {
	if !bytes.Contains(data, []byte(`"specversion"`)) {
		return Event{}, false
	}
	e, err := decodeStructured(envelopeType, data)
	return e, err == nil && e.ID != "" && e.Source != "" && e.Type != ""
}

// bare is a body without attributes: JSON, or else text or bytes and marked.
func bare(data []byte) Event {
	switch {
	case len(data) == 0:
		return Event{}
	case validJSON(data):
		return Event{Data: data, DataContentType: jsonType}
	}
	return Event{
		Data: data, DataContentType: guess(data),
		Malformed: "data: is not JSON, and no datacontenttype says what it is",
	}
}

// checkClaim refuses data that is called JSON and is not.
func (e *Event) checkClaim() error {
	if len(e.Data) > 0 && isJSON(e.DataContentType) && !validJSON(e.Data) {
		return invalid("data", "is called JSON and is not")
	}
	return nil
}

// setHeaders reads the ce-* headers, and says whether there were any. A value
// that breaks a rule is an error; an empty one is absent, and a name that no
// extension can have is passed over.
func (e *Event) setHeaders(h nats.Header) (found bool, err error) {
	for key, values := range h {
		attr, ok := strings.CutPrefix(key, headerPrefix)
		if !ok || len(values) == 0 {
			continue
		}
		found = true
		value := decodeValue(values[0])
		if value == "" {
			continue
		}
		switch a := attributeByName[attr]; {
		case a != nil:
			err = errors.Join(err, a.set(e, value))
		case attr == specVersionName:
			if value != specVersion {
				err = errors.Join(err, invalid(specVersionName, `must be "1.0"`))
			}
		case extensionName(attr):
			if broken := checkText(attr, value); broken != nil {
				err = errors.Join(err, broken)
				continue
			}
			if e.Extensions == nil {
				e.Extensions = map[string]any{}
			}
			e.Extensions[attr] = value
		}
	}
	return found, err
}

// setAddress takes tenant, topic and verb from the subject, which NATS has
// checked permissions on. The headers' spelling of topic and verb stays where
// it says the same.
func (e *Event) setAddress(subj string) {
	a, ok := subject.ParseEvent(subj)
	if !ok {
		return
	}
	e.Tenant = a.Tenant
	if !sameName(e.Topic, a.Topic) {
		e.Topic = a.Topic
	}
	if !sameName(e.Verb, a.Verb) {
		e.Verb = a.Verb
	}
	if err := a.Check(); err != nil && e.Malformed == "" {
		e.Malformed = reason(err)
	}
}

// sameName compares topics and verbs.
func sameName(a, b string) bool { return a == b || subject.Fold(a) == subject.Fold(b) }

// setDefaults fills in the required attributes and the time.
func (e *Event) setDefaults(subj string, h nats.Header, at Stored) {
	if e.Source == "" {
		e.Source = DefaultSource
	}
	if e.Type == "" {
		// Outside evt.… the subject itself is all we know of what happened.
		if e.Type = subj; e.Topic != "" && e.Verb != "" {
			e.Type = typeOf(e.Topic, e.Verb)
		}
	}
	if e.ID == "" {
		if v := h[nats.MsgIdHdr]; len(v) > 0 && checkText("id", v[0]) == nil {
			e.ID = v[0]
		}
	}
	if e.ID == "" {
		e.ID = at.Cursor.String()
	}
	if e.ID == "" {
		e.ID = NewID()
	}
	if e.Time.IsZero() {
		e.Time = at.Time
	}
}

// maxReason is the longest text of the malformed attribute, in bytes.
const maxReason = 200

// reason is the text of the malformed attribute: the public text of the error,
// made fit for an attribute. Of several the first in byte order, because
// headers have no order of their own.
func reason(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		least := ""
		for _, each := range joined.Unwrap() {
			if r := reason(each); least == "" || r < least {
				least = r
			}
		}
		return least
	}
	text := fault.From(err).Error()
	text = strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
	return strings.Map(func(r rune) rune {
		if checkText("", string(r)) != nil {
			return -1
		}
		return r
	}, text)
}
