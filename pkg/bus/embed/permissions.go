package embed

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// The server's users.
const (
	ServiceUser = "service" // Belfry's own processes
	AppUser     = "app"     // whoever connects without credentials
)

const (
	inbox = "_INBOX.>"

	// A before-handler answers one request once; the time is far above the
	// longest budget a hook call can have.
	responseMessages = 1
	responseTime     = time.Minute
)

// appPermissions is the whole of what a stranger on the loopback or in the
// cluster's network may do. The API subjects are literal or end inside EVENTS:
// reading the log needs two of them, and none creates a consumer, because a push
// consumer could deliver onto any subject.
func appPermissions() *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			subject.Roots.Events,
			subject.Roots.Operations,
			subject.Roots.Realtime,
			subject.Roots.Service,
			"$JS.API.DIRECT.GET." + topology.Events,
			"$JS.API.DIRECT.GET." + topology.Events + ".>", // last by subject, the subject in the address
			"$JS.API.STREAM.INFO." + topology.Events,
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{
			subject.Roots.Live,
			subject.Roots.Clock,
			subject.Roots.Presence,
			subject.Roots.Hook,
			inbox,
		}},
		Response: &server.ResponsePermission{MaxMsgs: responseMessages, Expires: responseTime},
	}
}
