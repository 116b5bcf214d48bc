package event

import "encoding/json"

// ChangeSchema is the dataschema of an event whose data is a Change.
const ChangeSchema = "urn:belfry:change:v1"

// Change is the data of a stored change: who changed what, from which values
// to which.
type Change struct {
	Actor    *Actor            `json:"actor,omitempty"`    // who did it; absent = the event's sender
	Action   string            `json:"action,omitempty"`   // the operation, where it says more than the verb ("restore")
	Resource Resource          `json:"resource"`           // what was changed
	Affected []json.RawMessage `json:"affected,omitempty"` // the resources as objects; absent = New, else Old
	Old      json.RawMessage   `json:"old,omitempty"`      // values before, an object; absent for an insert
	New      json.RawMessage   `json:"new,omitempty"`      // values after, an object; absent for a deletion
}

// Actor is who made a change.
type Actor struct {
	User    string `json:"user,omitempty"`
	Device  string `json:"device,omitempty"`
	Feature string `json:"feature,omitempty"`
}

// Resource is the object that was changed.
type Resource struct {
	ID      string `json:"id,omitempty"`      // absent = the event's subject
	Version *int64 `json:"version,omitempty"` // absent = the event's objectversion
}
