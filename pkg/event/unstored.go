package event

import (
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/subject"
)

// ClockPrefix stands before a time event's name in its subject: clock._.Noon is
// frm.time.Noon.
const ClockPrefix = "frm.time."

// Types of presence events.
const (
	Online  = "presence.online"
	Offline = "presence.offline"
)

// setUnstored takes from the subject what it says of an event that is never
// stored. Such events have no topic and no verb, so that nobody can pass one off
// as a durable event, nor a real-time event as a time event: its code is its
// type, unless that is the name of events of another form.
func (e *Event) setUnstored(subj string) {
	if r, ok := subject.ParseRealtime(subj); ok {
		e.unstored(r.Tenant)
		e.Recipient = legible(r.User)
		v, known := LookupView(e.Type)
		switch {
		case e.Type == "":
			e.Type = unknownType // the subject says to whom, and nothing else
		case known && v.Form == Realtime:
			e.Type = v.Name
		case known:
			e.Type = unknownType
			if e.Malformed == "" {
				e.Malformed = "type: is the name of events of another form"
			}
		}
		return
	}
	if tenant, name, ok := subject.ParseClock(subj); ok {
		e.unstored(tenant)
		e.Type = legible(ClockPrefix + name)
		if v, known := LookupView(e.Type); known {
			e.Type = v.Name
		}
		return
	}
	if r, ok := subject.ParsePresence(subj); ok {
		e.unstored(r.Tenant)
		e.Subject = legible(r.User)
	}
}

func (e *Event) unstored(tenant string) {
	e.Tenant, e.Topic, e.Verb, e.Recipient = legible(tenant), "", "", ""
}

// LiveView is what an event that is never stored is delivered as: its row of the
// table, or, for a code or name that is in none, a row of its own. ok is false for
// a durable event, which has views by its topic and verb.
func LiveView(e *Event) (v View, ok bool) {
	if e.Topic != "" && e.Verb != "" {
		return v, false
	}
	if v, ok = LookupView(e.Type); ok && v.Form != Durable {
		return v, true
	}
	return View{Name: e.Type, Form: Realtime}, true
}

// UnstoredMsg is a complete event that is never stored as a NATS message on subj,
// in binary mode. It refuses what Validate refuses, apart from the address, and a
// topic or verb, which such events do not have. Code invalid_event.
func (e *Event) UnstoredMsg(subj string) (*nats.Msg, error) {
	for _, a := range [...]struct{ name, value string }{{"topic", e.Topic}, {"verb", e.Verb}} {
		if a.value != "" {
			return nil, invalid(a.name, "must be absent: the event is not stored")
		}
	}
	for _, check := range e.checks() {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return &nats.Msg{Subject: subj, Header: e.Header(), Data: e.Data}, nil
}
