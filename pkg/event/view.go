package event

import (
	"encoding/json"
	"slices"

	"github.com/belfry-events/belfry/pkg/subject"
)

// Form is how the events behind a view travel.
type Form uint8

// The forms.
const (
	Durable  Form = iota // evt.…, kept in EVENTS
	Clock                // clock.…, time events, never stored
	Realtime             // rt.…, to a user, a tenant or everybody, never stored
)

// View is an event under the name that one of the seeds gives it.
type View struct {
	Name  string   // the seed's spelling; compared ignoring case
	Form  Form     // where its events come from
	Topic string   // Durable: the one topic it is made from, in lower case; "" = any
	Verbs []string // Durable: the verbs it is made from, in lower case

	hidden  func(*Event) bool // Durable: attributes that say there is no such view; nil = never
	payload func(*Event) any  // Durable: what the seed calls the event's attributes
}

// noFrm hides the frm and sys views: of a restore, and of a back-end update
// that did not ask for them.
func noFrm(e *Event) bool { return e.Frm != nil && !*e.Frm }

// noAsk also hides the deletion that was only seen afterwards, and the one without
// trash: nobody could have vetoed it ("when user is going to be deleted to the
// trash").
func noAsk(e *Event) bool { return noFrm(e) || e.Unannounced || e.Change().Action == ActionDelete }

// views is the table of names. Durable views are found by topic and verb, the
// others by the event's type, which is their name.
var views = append([]View{
	{"frm.objectInserted", Durable, "", []string{"created"}, noFrm, objectAttributes},
	{"frm.objectUpdate", Durable, "", []string{"updated"}, noFrm, updateAttributes},
	{"frm.objectToDelete", Durable, "", []string{"deleting"}, noFrm, objectAttributes},
	{"frm.objectDeleted", Durable, "", []string{"deleted"}, noFrm, objectAttributes},

	{"portos.resources.changed", Durable, "", []string{"created", "updated", "deleted"}, nil, resourceChanged},
	{"portos.licence.activated", Durable, "licence", []string{"activated"}, nil, licence},

	{"sys.newUser", Durable, "users", []string{"created"}, noFrm, newUserAttributes},
	{"sys.userChangeStatus", Durable, "users", []string{"status"}, noFrm, statusAttributes},
	{"sys.userDelete", Durable, "users", []string{"deleting"}, noAsk, userAttributes},
	{"sys.userDeleted", Durable, "users", []string{"purged"}, noFrm, userAttributes},
}, append(
	named(
		Clock,
		"frm.time.timeNew", "frm.time.timeQH", "frm.time.timeHour", "frm.time.time47min",
		"frm.time.Noon", "frm.time.Midnight", "frm.time.earlyMorning", "frm.time.earlyAfternoon",
		"frm.time.BOD", "frm.time.EOD",
		"frm.time.timeNightControl21", "frm.time.timeNightControl22", "frm.time.timeNightControl23",
		"frm.time.timeNightControl1", "frm.time.timeNightControl2", "frm.time.timeNightControl3",
		"frm.time.timeNightControl4", "frm.time.timeNightControl5",
	),
	named(
		Realtime,
		"CM_REMINDER", "MAIL", "VOIP", "SHUTDOWN", "SYS_MSG", "PERF", "NOT", "WRN",
	)...,
)...)

func named(f Form, names ...string) []View {
	rows := make([]View, len(names))
	for i, n := range names {
		rows[i] = View{Name: n, Form: f}
	}
	return rows
}

var viewByName = func() map[string]View {
	m := make(map[string]View, len(views))
	for _, v := range views {
		m[subject.Fold(v.Name)] = v
	}
	return m
}()

// Views is the whole table, in the order of the documentation.
func Views() []View { return slices.Clone(views) }

// LookupView finds a view by name, ignoring case.
func LookupView(name string) (View, bool) {
	v, ok := viewByName[subject.Fold(name)]
	return v, ok
}

// Has says whether the event has this view. An event with topic and verb is a
// durable one, so that nobody can pass one off as a time or real-time event by
// its type.
func (v View) Has(e *Event) bool {
	durable := e.Topic != "" && e.Verb != ""
	if v.Form != Durable {
		return !durable && sameName(e.Type, v.Name)
	}
	return durable && (v.Topic == "" || sameName(e.Topic, v.Topic)) &&
		slices.ContainsFunc(v.Verbs, func(verb string) bool { return sameName(e.Verb, verb) }) &&
		(v.hidden == nil || !v.hidden(e))
}

// Payload is the event's data under this name, as the table in the package
// comment has it. ok is false when the event has no such view; a nil payload
// with ok true means that the view has no data (time events).
func (v View) Payload(e *Event) (payload json.RawMessage, ok bool) {
	switch {
	case !v.Has(e):
		return nil, false
	case v.Form == Durable:
		return marshal(v.payload(e)), true
	case v.Form == Clock || len(e.Data) == 0:
		return nil, true
	}
	return e.appendValue(nil), true
}

// AppendJSON appends the view as CloudEvents JSON: the stored event with the
// view's name as type and its payload as data. Id and source stay those of the
// event, so a client that uses both sees that they are one.
func (v View) AppendJSON(dst []byte, e *Event) (_ []byte, ok bool) {
	payload, ok := v.Payload(e)
	if !ok {
		return dst, false
	}
	shown := *e
	shown.Type = v.Name
	if v.Form != Realtime {
		shown.Data, shown.DataContentType, shown.DataSchema = payload, "", ""
		if payload != nil {
			shown.DataContentType = jsonType
		}
	}
	return shown.AppendJSON(dst), true
}
