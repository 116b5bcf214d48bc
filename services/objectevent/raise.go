package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// receipt is the record that an operation has been relayed, in EVENTS at
// ctl.op.<tenant>.<id>. Its events are the messages behind it.
type receipt struct {
	Operation operationName `json:"op"`
	Topic     string        `json:"topic"`
	Object    string        `json:"object"`
	At        string        `json:"at"`               // where OPERATIONS kept it
	Events    []string      `json:"events,omitempty"` // their verbs
	Moved     whereabouts   `json:"moved,omitempty"`  // where to, if it moved the object
}

// effects are what a row makes of an operation, to be stored together and once.
// The events have all that the operation has; what is forgotten is not told again.
func (o *operation) effects(ctx context.Context, r rule, at event.Cursor, maxBytes int) (relay.Effects, error) {
	once, err := o.receipt(r, at)
	if err != nil {
		return relay.Effects{}, err
	}
	e := relay.Effects{Once: once}
	if len(r.raises) == 0 {
		return e, nil
	}
	shared := o.Event
	shared.SetChange(o.told())
	if len(shared.Data) > maxBytes {
		return e, fault.New(fault.EventTooLarge, "the operation makes an event of %d bytes, the maximum is %d", len(shared.Data), maxBytes)
	}
	for _, w := range r.raises {
		m, err := w.message(ctx, shared)
		if err != nil {
			return e, err
		}
		e.Msgs = append(e.Msgs, m)
	}
	return e, nil
}

// told is the change as its events tell it.
func (o *operation) told() event.Change {
	c := o.change
	switch o.name {
	case opForget:
		c = event.Change{Actor: c.Actor, Resource: c.Resource, Action: string(o.name)}
	case opTrash, opRestore:
		c.Action = string(o.name)
	}
	return c
}

// message is the event of one verb.
func (w what) message(ctx context.Context, e event.Event) (*nats.Msg, error) {
	e.Verb, e.Unannounced, e.Frm = w.verb, w.unannounced, nil
	if w.noFrm {
		e.Frm = new(bool)
	}
	if w.verb == toDelete {
		e.ID += "/" + toDelete // the change itself has the operation's id
	}
	e.Complete(e.Time)
	m, err := e.Msg()
	if err != nil {
		return nil, err
	}
	telemetry.Inject(ctx, m.Header)
	if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
		return nil, fault.New(fault.EventTooLarge, "the operation has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
	}
	return m, nil
}

func (o *operation) receipt(r rule, at event.Cursor) (*nats.Msg, error) {
	subj, err := subject.OperationRecord(o.Tenant, o.ID)
	if err != nil {
		return nil, err
	}
	d := receipt{Operation: o.name, Topic: o.Topic, Object: o.Subject, At: at.String(), Moved: r.to}
	for _, w := range r.raises {
		d.Events = append(d.Events, w.verb)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write the record of an operation: %w", err)
	}
	return &nats.Msg{Subject: subj, Data: data}, nil
}
