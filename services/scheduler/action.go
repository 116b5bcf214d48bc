package scheduler

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// action is what happens when a schedule fires: exactly one field is set.
type action struct {
	Publish *publish `json:"publish,omitempty"`
	Notify  *notify  `json:"notify,omitempty"`
	Clock   *strike  `json:"clock,omitempty"` // the platform's own
}

// publish makes a durable event.
type publish struct {
	Topic   string `json:"topic"`
	Verb    string `json:"verb"`
	Subject string `json:"subject,omitempty"`
	Data    string `json:"data,omitempty"` // JSON, as text: the store must not change a byte of it
}

// notify makes a real-time event.
type notify struct {
	User string `json:"user,omitempty"` // "" = everybody of the tenant
	Code string `json:"code"`
	Data string `json:"data,omitempty"`
}

// strike makes a time event.
type strike struct {
	Tenant string `json:"tenant"` // subject.Platform, or one with a zone of its own
	Name   string `json:"name"`   // what follows frm.time.
}

const (
	maxData  = 64 << 10
	reminder = "CM_REMINDER"
)

// Extensions of every event that a schedule makes.
const (
	extNominal  = "nominaltime" // when it was meant to happen, RFC 3339 in UTC
	extActual   = "actualtime"  // when it did
	extMissed   = "missed"      // occurrences before it that did not happen
	extZone     = "zone"        // IANA name
	extSchedule = "schedule"    // the schedule's id
)

// way is how its occurrences go out.
func (a action) way() subject.Way {
	switch {
	case a.Publish != nil:
		return subject.WayEvent
	case a.Notify != nil:
		return subject.WayRealtime
	}
	return subject.WayClock
}

// need is what a caller must be allowed to do, to have anything to do with a
// schedule that does this.
func (a action) need(tenant string) auth.Request {
	if a.Publish != nil {
		return auth.Request{Action: auth.Publish, Tenant: tenant, Topic: a.Publish.Topic}
	}
	return auth.Request{Action: auth.Realtime, Tenant: tenant}
}

// check holds an action against the rules of the event that it will make, so that
// none is refused when nobody is looking. It fills in the defaults.
func (d *definition) checkAction(maxEvent int) error {
	switch a := d.Action; {
	case a.Publish != nil && a.Notify != nil, a.Publish == nil && a.Notify == nil:
		return fault.Field(fault.InvalidRequest, "action", "one of publish and notify is required")
	case a.Publish != nil:
		if err := checkData("action.publish.data", a.Publish.Data, min(maxData, maxEvent)); err != nil {
			return err
		}
		if err := (subject.Address{Tenant: d.Tenant, Topic: a.Publish.Topic, Verb: a.Publish.Verb}).Check(); err != nil {
			return under("action.publish.", err)
		}
		e := d.event(fire{ID: "check", Nominal: d.Created, Actual: d.Created}, time.UTC)
		return under("action.publish.", e.Validate())
	}
	n := d.Action.Notify
	if n.Code == "" {
		n.Code = reminder
	}
	code, err := realtime.Code(n.Code)
	if err != nil {
		return under("action.notify.", err)
	}
	n.Code = code
	if n.User != "" {
		if _, err := subject.Escape("action.notify.user", n.User); err != nil {
			return err
		}
	}
	if err := checkData("action.notify.data", n.Data, min(maxData, maxEvent)); err != nil {
		return err
	}
	return under("action.notify.", realtime.Check(n.Code, []byte(n.Data)))
}

// under names the field of an error from where it stands in a request.
func under(path string, err error) error {
	e := fault.From(err)
	if e == nil || e.Details()["field"] == "" {
		return err
	}
	return fault.Wrap(e.Code(), err, "%s%s", path, e.Error()).With("field", path+e.Details()["field"])
}

func checkData(field, data string, limit int) error {
	switch {
	case len(data) > limit:
		return fault.Field(fault.EventTooLarge, field, "%d bytes are above the maximum of %d", len(data), limit)
	case len(data) > 0 && !json.Valid([]byte(data)):
		return fault.Field(fault.InvalidRequest, field, "is not valid JSON")
	}
	return nil
}

// event is the durable or real-time event of an occurrence.
func (d *definition) event(f fire, zone *time.Location) event.Event {
	e := event.Event{
		ID: f.ID, Source: "/schedules/" + url.PathEscape(d.Tenant), Tenant: d.Tenant, Time: f.Actual.UTC(),
		Extensions: extensions(f, zone),
	}
	e.Extensions[extSchedule] = d.ID
	if p := d.Action.Publish; p != nil {
		e.Topic, e.Verb, e.Subject, e.Data = p.Topic, p.Verb, p.Subject, []byte(p.Data)
	} else if n := d.Action.Notify; n != nil {
		e.Type, e.Recipient, e.Data = n.Code, n.User, payload(n, f)
	}
	e.Complete(f.Actual)
	return e
}

// payload is a notice's data; a reminder says when it was meant to strike, unless
// its maker has said so.
func payload(n *notify, f fire) []byte {
	data := []byte(n.Data)
	if len(data) == 0 {
		data = []byte("{}")
	}
	if n.Code != reminder {
		return data
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members["reminderTime"] != nil || members["reminder_time"] != nil {
		return data
	}
	members["reminderTime"] = encode(f.Nominal.UTC().Format(time.RFC3339Nano))
	return encode(members)
}

// timeEvent is the clock's event. It has no data: the texts give time events none.
func (s strike) timeEvent(f fire, zone *time.Location) *nats.Msg {
	name := event.ClockPrefix + s.Name
	e := event.Event{
		ID: name + "@" + f.Nominal.UTC().Format(time.RFC3339Nano), Source: "/scheduler", Type: name,
		Time: f.Actual.UTC(), Extensions: extensions(f, zone),
	}
	if s.Tenant != subject.Platform {
		e.Tenant, e.Source = s.Tenant, "/scheduler/"+url.PathEscape(s.Tenant)
	}
	return &nats.Msg{Subject: subject.Clock(s.Tenant, s.Name), Header: e.Header()} // all of it ours: nothing to refuse
}

func extensions(f fire, zone *time.Location) map[string]any {
	return map[string]any{
		extNominal: f.Nominal.UTC().Format(time.RFC3339Nano),
		extActual:  f.Actual.UTC().Format(time.RFC3339Nano),
		extMissed:  int32(min(f.Missed, 1<<31-1)),
		extZone:    zone.String(),
	}
}

// zoneOf is where a rule's wall-clock times are read.
func zoneOf(r calendar.Rule) *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}
