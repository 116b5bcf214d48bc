package subject

import (
	"strings"
)

const (
	sep      = "."
	rest     = ">"
	evt      = "evt"
	live     = "live"
	ctl      = "ctl"
	rt       = "rt"
	clock    = "clock"
	presence = "presence"
	dead     = "dead"
	svc      = "svc"
	hook     = "hook"
	op       = "op"

	relayRecord = "relay" // after ctl
)

// Patterns that streams, permissions and subscriptions name as they are.
const (
	Events      = "evt.*.*.*"      // every durable event
	Control     = "ctl.>"          // every control record
	LiveEvents  = "live.evt.*.*.*" // every durable event, after commit
	LivePrefix  = "live."          // stands before a subject of EVENTS when it is republished
	DeadLetters = "dead.>"         // everything given up
)

// Roots are the first tokens that permissions are written with: Roots.Live is
// "live.>".
var Roots = struct{ Events, Live, Operations, Realtime, Service, Clock, Presence, Hook string }{
	join(evt, rest), join(live, rest), join(op, rest), join(rt, rest),
	join(svc, rest), join(clock, rest), join(presence, rest), join(hook, rest),
}

func join(tokens ...string) string { return strings.Join(tokens, sep) }

// Address is where a durable event belongs. In an Address read from a subject
// the three are unescaped; Topic and Verb may still need Fold.
type Address struct{ Tenant, Topic, Verb string }

// Event is the subject of an address: evt.<tenant>.<topic>.<verb>, topic and
// verb in lower case. Codes invalid_name, invalid_topic, invalid_verb.
func Event(a Address) (string, error) {
	if err := a.Check(); err != nil {
		return "", err
	}
	return join(evt, escape(a.Tenant), escape(Fold(a.Topic)), escape(Fold(a.Verb))), nil
}

// Check says whether tenant, topic and verb are inside the grammar.
func (a Address) Check() error {
	if err := CheckTenant(a.Tenant); err != nil {
		return err
	}
	if err := CheckTopic(a.Topic); err != nil {
		return err
	}
	return CheckVerb(a.Verb)
}

// ParseEvent reads the address in evt.… or live.evt.…; ok is false for any
// other subject.
func ParseEvent(s string) (a Address, ok bool) {
	s = strings.TrimPrefix(s, LivePrefix)
	s, ok = strings.CutPrefix(s, evt+sep)
	if !ok {
		return a, false
	}
	tenant, s, ok1 := strings.Cut(s, sep)
	topic, verb, ok2 := strings.Cut(s, sep)
	if !ok1 || !ok2 || strings.Contains(verb, sep) || tenant == "" || topic == "" || verb == "" {
		return a, false
	}
	return Address{Unescape(tenant), Unescape(topic), Unescape(verb)}, true
}

// TenantEvents is the filter for all durable events of a tenant, evt.<tenant>.>.
func TenantEvents(tenant string) (string, error) { return ofTenant(tenant, TokenEvents) }

// TenantLive is the live feed of a tenant, live.evt.<tenant>.>.
func TenantLive(tenant string) (string, error) { return ofTenant(tenant, TokenLive) }

// PlatformClock is every time event of the platform's own zone, clock._.>.
func PlatformClock() string { return join(clock, Platform, rest) }

// TenantOf narrows one of Roots to a tenant: Roots.Operations to op.<tenant>.>.
// Code invalid_name.
func TenantOf(root, tenant string) (string, error) {
	return ofTenant(tenant, func(token string) string { return join(strings.TrimSuffix(root, rest)+token, rest) })
}

func ofTenant(tenant string, pattern func(token string) string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	return pattern(escape(tenant)), nil
}

// TokenEvents and TokenLive are TenantEvents and TenantLive of a tenant that is
// escaped already.
func TokenEvents(token string) string { return join(evt, token, rest) }

// TokenLive is TenantLive of a token, as TokenEvents is of TenantEvents.
func TokenLive(token string) string { return join(live, evt, token, rest) }

// TenantToken is the escaped tenant in evt.… or live.evt.…, and "" in any other
// subject.
func TenantToken(s string) string {
	s, ok := strings.CutPrefix(strings.TrimPrefix(s, LivePrefix), evt+sep)
	if !ok {
		return ""
	}
	token, _, _ := strings.Cut(s, sep)
	return token
}

// Match says whether a literal subject is among those of a pattern, in which "*"
// stands for one token and a final ">" for one or more.
func Match(pattern, s string) bool {
	for {
		p, restOfPattern, morePattern := strings.Cut(pattern, sep)
		token, restOfSubject, more := strings.Cut(s, sep)
		switch {
		case p == rest && !morePattern:
			return true
		case p != "*" && p != token, more != morePattern:
			return false
		case !more:
			return true
		}
		pattern, s = restOfPattern, restOfSubject
	}
}

// Live is the subject on which a subject of EVENTS is republished.
func Live(s string) string { return join(live, s) }

// Dead is the subject of a dead letter: dead.<consumer>.<position>, position
// being the cursor text of the message in its source stream.
func Dead(consumer, position string) string { return join(dead, escape(consumer), position) }

// RelayCursor is where a relay that writes into EVENTS keeps its cursor:
// ctl.relay.<relay>.
func RelayCursor(relay string) string { return join(ctl, relayRecord, escape(relay)) }

// OperationRecord is the record that an operation has been relayed into EVENTS:
// ctl.op.<tenant>.<operation>. Code invalid_name for the tenant or the id.
func OperationRecord(tenant, operation string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	id, err := Escape("operation", operation)
	if err != nil {
		return "", err
	}
	return join(ctl, op, escape(tenant), id), nil
}

// Key is the subject under which a key-value bucket keeps a key: $KV.<bucket>.<key>.
func Key(bucket, key string) string { return join("$KV", bucket, key) }

// Service is the subject of one method of a service's API, svc.<service>.<Method>.
func Service(service, method string) string { return join(svc, service, method) }

// MessageID is the Nats-Msg-Id of an event: <tenant>/<source>/<id>. JetStream
// compares these ids over a whole stream, so the tenant and the source keep two
// publishers' ids apart.
func MessageID(tenant, source, id string) string { return tenant + "/" + source + "/" + id }
