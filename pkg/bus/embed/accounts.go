package embed

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// The server's users and the accounts they live in. JetStream, and everything
// the services say to each other, is in Account; strangers are in AppAccount,
// and only what is listed below crosses the border:
//
//	         APP                                BELFRY
//	publish  evt.> op.> rt.> svc.>      ──▶     streams and services
//	         reads of EVENTS            ──▶     JetStream
//	listen   live.> clock.> presence.>  ◀──     services
//	answer   hook.>                     ◀──     before-events
//
// Permissions alone do not hold, because NATS does not check the reply subject
// of a request: a stranger who may read EVENTS by direct get can name
// $JS.API.STREAM.DELETE.EVENTS, ctl.… or mbx.… as the place for the answer, and
// the server itself then publishes there. Across accounts an answer can only
// land in the account that asked.
const (
	ServiceUser = "service" // Belfry's own processes
	AppUser     = "app"     // whoever connects without credentials
	Account     = "BELFRY"  // of ServiceUser
	AppAccount  = "APP"     // of AppUser
)

const (
	inbox       = "_INBOX.>"
	accountInfo = "$JS.API.INFO"

	// A before-handler answers one request once; the time is far above the
	// longest budget a hook call can have.
	responseMessages = 1
	responseTime     = "1m"

	// How long the way back stays open for a request that may have several
	// answers: pages of the log, a real-time event that several gateways take.
	// Single answers, a 90 second Peek among them, have the server's 2 minutes.
	manyAnswersTime = "5s"
)

// object is a piece of the server's configuration, which is a superset of JSON.
type object = map[string]any

// requests are what a stranger may ask or publish, and whether several answers
// may come. The API subjects are literal or end inside EVENTS; none creates a
// consumer, because a push consumer could deliver onto any subject.
var requests = []struct {
	subject string
	many    bool
}{
	{subject.Roots.Events, false},
	{subject.Roots.Operations, false},
	{subject.Roots.Realtime, true},
	{subject.Roots.Service, false},
	{"$JS.API.DIRECT.GET." + topology.Events, true},
	{"$JS.API.DIRECT.GET." + topology.Events + ".>", false}, // last by subject, the subject in the address
	{"$JS.API.STREAM.INFO." + topology.Events, false},
}

// feeds are what a stranger may listen to.
var feeds = []string{subject.Roots.Live, subject.Roots.Clock, subject.Roots.Presence}

// accounts is the part of the server's configuration that says who may do what.
func accounts(servicePassword, appPassword string) (string, error) {
	var exports, imports []object
	var publish []string
	for _, r := range requests {
		export := object{"service": r.subject, "accounts": []string{AppAccount}}
		if r.many {
			export["response_type"], export["response_threshold"] = "stream", manyAnswersTime
		}
		exports = append(exports, export)
		imports = append(imports, object{"service": object{"account": Account, "subject": r.subject}})
		publish = append(publish, r.subject)
	}
	// The server gives every account without JetStream an import of all of
	// $JS.API, which would answer beside ours, unless the account has one for
	// this subject. No stranger may publish to it.
	exports = append(exports, object{"service": accountInfo, "accounts": []string{AppAccount}})
	imports = append(imports, object{"service": object{"account": Account, "subject": accountInfo}})
	for _, f := range feeds {
		exports = append(exports, object{"stream": f, "accounts": []string{AppAccount}})
		imports = append(imports, object{"stream": object{"account": Account, "subject": f}})
	}
	app := object{"user": AppUser, "password": appPassword, "permissions": object{
		"publish":         object{"allow": publish},
		"subscribe":       object{"allow": append([]string{subject.Roots.Hook, inbox}, feeds...)},
		"allow_responses": object{"max": responseMessages, "expires": responseTime},
	}}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // ">" as it is: the server's parser knows no \u
	if err := encoder.Encode(object{
		"accounts": object{
			Account: object{
				"jetstream": "enabled",
				"users":     []object{{"user": ServiceUser, "password": servicePassword}},
				"exports":   exports,
				"imports":   []object{{"service": object{"account": AppAccount, "subject": subject.Roots.Hook}}},
			},
			AppAccount: object{
				"users":   []object{app},
				"exports": []object{{"service": subject.Roots.Hook, "accounts": []string{Account}}},
				"imports": imports,
			},
		},
		"no_auth_user": AppUser,
	}); err != nil {
		return "", fmt.Errorf("write the accounts: %w", err)
	}
	return text.String(), nil
}
