package event

import (
	"bytes"
	"encoding/json"

	"github.com/belfry-events/belfry/pkg/subject"
)

// attributesOfObject are what AyMINE's object events carry.
type attributesOfObject struct {
	Name string `json:"event-objectName"`
	ID   string `json:"event-objectID"`
}

// attributesOfUpdate add the values that changed, as they were before.
type attributesOfUpdate struct {
	attributesOfObject
	OldValues map[string]json.RawMessage `json:"event-oldValues"`
}

func object(e *Event, c *Change) attributesOfObject {
	return attributesOfObject{Name: e.Topic, ID: c.Resource.ID}
}

func objectAttributes(e *Event) any {
	c := e.Change()
	return object(e, &c)
}

func updateAttributes(e *Event) any {
	c := e.Change()
	return attributesOfUpdate{object(e, &c), c.changedOld()}
}

// newUserAttributes: the seed writes these two without "event-".
func newUserAttributes(e *Event) any {
	c := e.Change()
	return struct {
		User   string `json:"sysUserID"`
		Client string `json:"sysClientID"`
	}{c.Resource.ID, e.Tenant}
}

// attributesOfUser are what the other user events carry. A client is a tenant.
type attributesOfUser struct {
	User   string `json:"event-sysUserID"`
	Client string `json:"event-sysClientID"`
}

func userAttributes(e *Event) any {
	c := e.Change()
	return attributesOfUser{c.Resource.ID, e.Tenant}
}

func statusAttributes(e *Event) any {
	c := e.Change()
	return struct {
		attributesOfUser
		Status json.RawMessage `json:"status"` // as the publisher has it; null = unknown
	}{attributesOfUser{c.Resource.ID, e.Tenant}, c.status(e)}
}

// status is the new values' member "status", or that of the data itself.
func (c *Change) status(e *Event) json.RawMessage {
	for _, doc := range []json.RawMessage{c.New, e.Data} {
		var v struct {
			Status json.RawMessage `json:"status"`
		}
		if isJSON(e.DataContentType) && json.Unmarshal(doc, &v) == nil && v.Status != nil {
			return v.Status
		}
	}
	return nil
}

// licence is the licence itself.
func licence(e *Event) any {
	c := e.Change()
	switch {
	case c.New != nil:
		return c.New
	case len(e.Data) > 0:
		return json.RawMessage(e.appendValue(nil))
	}
	return nil
}

// actions are the numbers PORTOS gives to what happened to a resource.
var actions = map[string]int{"created": 1, "updated": 2, "deleted": 3}

func resourceChanged(e *Event) any {
	c := e.Change()
	return ResourceChanged{
		User:     identity(c.Actor.User, c.Actor.Device, c.Actor.Feature),
		Resource: e.Topic,
		Action:   actions[subject.Fold(e.Verb)],
		Info:     ResourceInfo{ID: c.Resource.ID, Name: e.Topic, Version: c.Resource.Version},
		Affected: append([]json.RawMessage{}, c.Affected...), // [] rather than null
	}
}

// marshal is json.Marshal without the escaping that is meant for HTML.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only data that breaks AppendJSON's condition comes here.
		return json.RawMessage("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
