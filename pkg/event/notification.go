package event

import (
	"encoding/json"
	"time"
)

// System is the user and device name of events that no user caused.
const System = "SYSTEM"

// Notification is the argument of SignalR's OnEvent. All six are written, null
// included.
type Notification struct {
	Event     string             `json:"e"`
	Sender    NotificationSender `json:"s"`
	Reference *string            `json:"r"`
	CreatedAt time.Time          `json:"ca"`
	ExpiresAt *time.Time         `json:"ea"`
	Payload   json.RawMessage    `json:"p"`
}

// NotificationSender says who sent it.
type NotificationSender struct {
	Connection string       `json:"c"` // "" = none
	User       UserIdentity `json:"u"`
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
	Resource string            `json:"n"`
	Action   int               `json:"a"` // 1 created, 2 updated, 3 deleted
	Info     ResourceInfo      `json:"i"`
	Affected []json.RawMessage `json:"r"` // objects
}

// ResourceInfo names the resource that changed.
type ResourceInfo struct {
	ID      string `json:"i"` // "" = unknown
	Name    string `json:"n"`
	Version *int64 `json:"v"`
}
