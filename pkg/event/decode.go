package event

import (
	"bytes"
	"strings"
	"unicode/utf8"

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
	var e Event
	seen, err := e.setHeaders(h)
	if seen.odd {
		e = Event{}
		seen, err = e.setHeaders(fold(h))
	}
	ct := seen.contentType
	switch {
	case strings.HasPrefix(media(ct), envelopeType):
		return decodeStructured(ct, data)
	case err != nil:
		return Event{}, err
	case !seen.attributes && ct == "":
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

// setAddress takes tenant, topic and verb from the subject, which NATS has
// checked permissions on. The headers' spelling of topic and verb stays where
// it says the same.
func (e *Event) setAddress(subj string) {
	a, ok := subject.ParseEvent(subj)
	if !ok {
		e.setUnstored(subj)
		return
	}
	err := a.Check()
	for _, name := range [...]struct{ attr, text string }{{"tenant", a.Tenant}, {"topic", a.Topic}, {"verb", a.Verb}} {
		if err == nil {
			err = checkText(name.attr, name.text)
		}
	}
	if err != nil {
		// No tenant or topic can have such a name; what is shown of it must still be text.
		a = subject.Address{Tenant: legible(a.Tenant), Topic: legible(a.Topic), Verb: legible(a.Verb)}
		if e.Malformed == "" {
			e.Malformed = reason(err)
		}
	}
	e.Tenant = a.Tenant
	if !sameName(e.Topic, a.Topic) {
		e.Topic = a.Topic
	}
	if !sameName(e.Verb, a.Verb) {
		e.Verb = a.Verb
	}
}

// legible replaces what no attribute may contain by U+FFFD.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if checkText("", string(r)) != nil {
			return utf8.RuneError
		}
		return r
	}, s) // Map reads invalid bytes as U+FFFD
}

// unknownType is the type of a message that says nothing at all.
const unknownType = "unknown"

// sameName compares topics and verbs.
func sameName(a, b string) bool { return a == b || subject.Fold(a) == subject.Fold(b) }

// setDefaults fills in the required attributes and the time.
func (e *Event) setDefaults(subj string, h nats.Header, at Stored) {
	if e.Source == "" {
		e.Source = DefaultSource
	}
	if e.Type == "" {
		switch {
		case e.Topic != "" && e.Verb != "":
			e.Type = typeOf(e.Topic, e.Verb)
		case subj != "" && checkText("type", subj) == nil:
			e.Type = subj // outside evt.… it is all we know of what happened
		default:
			e.Type = unknownType
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
// made fit for an attribute.
func reason(err error) string {
	text := fault.From(err).Error()
	return legible(strings.ToValidUTF8(text[:min(len(text), maxReason)], ""))
}
