package realtime

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Presence is what a presence event says: its data is the JSON of this, its type
// event.Online or event.Offline.
type Presence struct {
	Tenant string    `json:"-"`
	User   string    `json:"user"`
	Online bool      `json:"online"`
	Since  time.Time `json:"since"` // since when the user is, or was, online
}

// ParsePresence reads a message on presence.<tenant>.<user>. Who it is about, the
// subject says. Code invalid_event for anything else.
func ParsePresence(m *nats.Msg) (p Presence, err error) {
	who, ok := subject.ParsePresence(m.Subject)
	if !ok {
		return p, fault.New(fault.InvalidEvent, "%q is not the subject of a presence event", m.Subject)
	}
	e := event.Decode(m.Subject, m.Header, m.Data, event.Stored{})
	if e.Type != event.Online && e.Type != event.Offline {
		return p, fault.Field(fault.InvalidEvent, "type", "%.64q is not the type of a presence event", e.Type)
	}
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return p, fault.Wrap(fault.InvalidEvent, err, "the data of a presence event cannot be read")
	}
	p.Tenant, p.User, p.Online = who.Tenant, who.User, e.Type == event.Online
	return p, nil
}
