package event

import (
	"encoding/json"
	"time"
)

// System is the user and the device of events that no user caused.
const System = "SYSTEM"

// Notification is the argument of SignalR's OnEvent, with the property names of
// the PORTOS text. All six are written, null included.
type Notification struct {
	Event     string             `json:"e"`  // the view's name
	Sender    NotificationSender `json:"s"`  // who sends the message
	Reference *string            `json:"r"`  // the publisher's reference
	CreatedAt time.Time          `json:"ca"` // when it happened
	ExpiresAt *time.Time         `json:"ea"` // when it is of no use any more
	Payload   json.RawMessage    `json:"p"`  // the view's payload; null = none
}

// NotificationSender says who sent it.
type NotificationSender struct {
	Connection string       `json:"c"` // connection identifier; "" = none
	User       UserIdentity `json:"u"` // who performs the action
}

// UserIdentity is a person, or a module acting as one.
type UserIdentity struct {
	User    string  `json:"u"` // unique user name, or System
	Device  string  `json:"d"` // device name, or System
	Feature *string `json:"f"` // module ("virtual user"); null for people
}

// ResourceChanged is the payload of portos.resources.changed.
type ResourceChanged struct {
	User     UserIdentity      `json:"u"` // who did it
	Resource string            `json:"n"` // resource name: the topic
	Action   int               `json:"a"` // 1 created, 2 updated, 3 deleted
	Info     ResourceInfo      `json:"i"` // which one
	Affected []json.RawMessage `json:"r"` // the resources, as objects
}

// ResourceInfo names the resource that changed.
type ResourceInfo struct {
	ID      string `json:"i"` // "" = unknown
	Name    string `json:"n"` // resource name: the topic
	Version *int64 `json:"v"` // null = unknown
}

// Notification is the event under this name as SignalR delivers it; ok is false
// when the event has no such view.
func (v View) Notification(e *Event) (_ []byte, ok bool) {
	payload, ok := v.Payload(e)
	if !ok {
		return nil, false
	}
	n := Notification{
		Event: v.Name,
		Sender: NotificationSender{
			Connection: e.SenderConnection,
			User:       identity(e.SenderUser, e.SenderDevice, e.SenderFeature),
		},
		CreatedAt: e.Time.UTC(),
		Payload:   payload,
	}
	if e.CorrelationID != "" {
		n.Reference = &e.CorrelationID
	}
	if !e.ExpiryTime.IsZero() {
		at := e.ExpiryTime.UTC()
		n.ExpiresAt = &at
	}
	return marshal(n), true
}

// identity fills in what the PORTOS text shows for events without a user. A
// user whose device is unknown has the device "": it was not the system.
func identity(user, device, feature string) UserIdentity {
	id := UserIdentity{User: user, Device: device}
	if user == "" {
		id.User = System
		if device == "" {
			id.Device = System
		}
	}
	if feature != "" {
		id.Feature = &feature
	}
	return id
}
