package event

import (
	"bytes"
	"encoding/json"
)

// ChangeSchema is the dataschema of an event whose data is a Change.
const ChangeSchema = "urn:belfry:change:v1"

// Change is the data of a stored change: who changed what, from which values
// to which.
type Change struct {
	Actor    *Actor            `json:"actor,omitempty"`    // who did it; absent = the event's sender
	Action   string            `json:"action,omitempty"`   // the operation, where it says more than the verb ("restore")
	Resource Resource          `json:"resource,omitzero"`  // what was changed
	Affected []json.RawMessage `json:"affected,omitempty"` // the resources, as objects; absent = New, or else Old
	Old      json.RawMessage   `json:"old,omitempty"`      // values before, an object; absent for an insert
	New      json.RawMessage   `json:"new,omitempty"`      // values after, an object; absent for a deletion
}

// ActionDelete is the action of a deletion without trash, told apart where the verb
// is the same: deleting.
const ActionDelete = "delete"

// Actor is who made a change.
type Actor struct {
	User    string `json:"user,omitempty"`    // unique user name
	Device  string `json:"device,omitempty"`  // device name
	Feature string `json:"feature,omitempty"` // module acting as a virtual user
}

// Resource is the object that was changed.
type Resource struct {
	ID      string `json:"id,omitempty"`      // absent = the event's subject
	Version *int64 `json:"version,omitempty"` // absent = the event's objectversion
}

// SetChange makes c the event's data.
func (e *Event) SetChange(c Change) {
	e.Data, e.DataContentType, e.DataSchema = marshal(c), jsonType, ChangeSchema
}

// Change is what the event says of a change, complete: the document, if the
// data is one, and otherwise the data object itself as the single affected
// resource, without old values, made by the event's sender.
func (e *Event) Change() Change {
	var c Change
	if e.DataSchema != ChangeSchema || !isJSON(e.DataContentType) || json.Unmarshal(e.Data, &c) != nil {
		c = Change{}
		if isJSON(e.DataContentType) && isObject(e.Data) {
			c.New = e.Data
		}
	}
	// A member that is not an object would break those who read objects.
	c.Old, c.New = objectOrNil(c.Old), objectOrNil(c.New)
	affected := c.Affected[:0:0]
	for _, r := range c.Affected {
		if isObject(r) {
			affected = append(affected, r)
		}
	}
	if c.Affected = affected; len(affected) == 0 {
		switch {
		case c.New != nil:
			c.Affected = []json.RawMessage{c.New}
		case c.Old != nil:
			c.Affected = []json.RawMessage{c.Old}
		}
	}
	if c.Actor == nil {
		c.Actor = &Actor{e.SenderUser, e.SenderDevice, e.SenderFeature}
	}
	if c.Resource.ID == "" {
		c.Resource.ID = e.Subject
	}
	if c.Resource.Version == nil {
		c.Resource.Version = e.ObjectVersion
	}
	return c
}

func isObject(raw []byte) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

func objectOrNil(raw json.RawMessage) json.RawMessage {
	if !isObject(raw) {
		return nil
	}
	return raw
}

// changedOld are the old values that are not the new ones, {} if none: what
// frm.objectUpdate carries.
func (c *Change) changedOld() map[string]json.RawMessage {
	changed := map[string]json.RawMessage{}
	var before, after map[string]json.RawMessage
	if c.Old == nil || json.Unmarshal(c.Old, &before) != nil {
		return changed
	}
	if c.New != nil && json.Unmarshal(c.New, &after) != nil {
		after = nil
	}
	for key, old := range before {
		if now, ok := after[key]; !ok || !sameJSON(old, now) {
			changed[key] = old
		}
	}
	return changed
}

// sameJSON compares two values apart from white space. Other spellings of one
// value (1 and 1.0) count as a change: better said once too often.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
