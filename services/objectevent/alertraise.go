package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

const (
	alertSource = "/objectevent/alerts"

	maxAlertExcerpt = 8 << 10 // bytes of old, and of new, in an alert
)

// Where a tenant hears that a rule of its own was disabled.
const (
	alertsTopic  = "alerts"
	disabledVerb = "disabled"
)

// alertData is the data of an alert.
type alertData struct {
	Rule     string         `json:"rule"`
	Revision int32          `json:"revision"`
	Severity string         `json:"severity"`
	Message  string         `json:"message"`
	Change   alertedChange  `json:"change"`
	Object   string         `json:"object,omitempty"`
	Actor    *event.Actor   `json:"actor,omitempty"`
	Changed  []string       `json:"changed,omitempty"`
	Old      map[string]any `json:"old,omitempty"` // of the members that differ
	New      map[string]any `json:"new,omitempty"`
	Cut      bool           `json:"cut,omitempty"` // some members are left out: they are too large
}

// alertedChange says which change it was.
type alertedChange struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Topic  string `json:"topic"`
	On     onName `json:"on"`
	Cursor string `json:"cursor"`
}

// alert is the event that a rule raises about a change. Its id is made of the rule's
// name and the change's id, so that everybody who has both knows it.
func (r *compiledAlert) alert(ctx context.Context, c *change) (*nats.Msg, error) {
	c.decode()
	d := alertData{
		Rule: r.Name, Revision: r.Revision, Severity: r.Severity, Message: r.text.render(c),
		Change: alertedChange{ID: c.ID, Source: c.Source, Topic: c.topic, On: c.on, Cursor: c.at.String()},
		Object: c.object(), Actor: c.told().Actor, Changed: c.changed,
	}
	var cutOld, cutNew bool
	d.Old, cutOld = c.differing(c.old, maxAlertExcerpt)
	d.New, cutNew = c.differing(c.new, maxAlertExcerpt)
	if d.Cut = cutOld || cutNew; d.Cut {
		d.Changed = cutList(d.Changed, maxAlertExcerpt)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write an alert: %w", err)
	}
	e := event.Event{
		ID: r.Name + "@" + c.ID, Source: alertSource, Subject: c.Subject, Time: c.Time, Data: data,
		Tenant: c.Tenant, Topic: r.Target, Verb: r.TargetVerb,
		CorrelationID: c.CorrelationID, ObjectVersion: c.ObjectVersion,
		SenderUser: c.SenderUser, SenderDevice: c.SenderDevice, SenderFeature: c.SenderFeature, // whoever is erased is found here, too
		Frm:        new(bool), // nobody changed an object of the target topic
		Extensions: map[string]any{depthName: strconv.Itoa(min(c.depth()+1, maxAlertDepth))},
	}
	return c.message(ctx, e)
}

// message makes an event of ours: of strangers' attributes, what cannot be told again
// is left out.
func (c *change) message(ctx context.Context, e event.Event) (*nats.Msg, error) {
	e.Complete(c.stored)
	m, err := e.Msg()
	if err != nil {
		e.ID, e.Time, e.CorrelationID = e.ID[:len(e.ID)-len(c.ID)]+c.at.String(), c.stored, ""
		if m, err = e.Msg(); err != nil {
			return nil, err
		}
	}
	telemetry.Inject(ctx, m.Header)
	return m, nil
}

// cutList is the beginning of a list, up to so many bytes.
func cutList(list []string, limit int) []string {
	for i, s := range list {
		if limit -= len(s); limit < 0 {
			return list[:i]
		}
	}
	return list
}

// disabledAlert is the data of alerts.disabled.
type disabledAlert struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

// disabledEvent is what a tenant is told by the record at a cursor.
func disabledEvent(tenant string, r alertRecord, c *change) (*nats.Msg, error) {
	data, err := json.Marshal(disabledAlert{Rule: r.Name, Reason: r.Reason})
	if err != nil {
		return nil, fmt.Errorf("write %s.%s: %w", alertsTopic, disabledVerb, err)
	}
	e := event.Event{
		ID: c.at.String(), Source: alertSource, Subject: r.Name, Tenant: tenant, Topic: alertsTopic, Verb: disabledVerb, Data: data,
	}
	e.Complete(c.stored)
	return e.Msg()
}

// isOwn says whether an address is where rules' own troubles are told; no rule may
// speak there.
func isOwn(topic string) bool { return subject.Fold(topic) == alertsTopic }
