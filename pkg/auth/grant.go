package auth

import (
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Action is what a caller wants to do. The set is closed.
type Action string

// The actions. Subscribe and Publish are granted per topic.
const (
	Subscribe Action = "subscribe" // read durable events, live or from the log
	Publish   Action = "publish"   // write durable events
	Mailbox   Action = "mailbox"   // own mailboxes and read them
	Realtime  Action = "realtime"  // send to users, ask who is online
	Admin     Action = "admin"     // operate: everybody's users, other people's things

	// Clock is listening to time events. It cannot be granted, because it need
	// not be: they carry no data, so every valid token may.
	Clock Action = "clock"
)

// AllTopics is the topic of a grant that covers every topic.
const AllTopics = "*"

// Grant is one thing a token allows. As text, which is what a token carries:
//
//	grant  = ("subscribe" | "publish") ":" (topic | "*")
//	       | "mailbox" | "realtime" | "admin"
//
// No grant implies another, admin neither. A topic may contain ":".
type Grant struct {
	Action Action
	Topic  string // in lower case; AllTopics; "" for an action without topics
}

// takesTopic says whether an action is granted per topic; ok is false for what
// cannot be granted at all.
func takesTopic(a Action) (topic, ok bool) {
	switch a {
	case Subscribe, Publish:
		return true, true
	case Mailbox, Realtime, Admin:
		return false, true
	}
	return false, false
}

// ParseGrant reads the text of one grant. Code invalid_request, field "grant".
func ParseGrant(s string) (Grant, error) {
	action, topic, hasTopic := strings.Cut(s, ":")
	takes, ok := takesTopic(Action(action))
	switch {
	case !ok:
		return Grant{}, badGrant(s, "unknown action %.32q; the actions are subscribe, publish, mailbox, realtime, admin", action)
	case takes && !hasTopic:
		return Grant{}, badGrant(s, "needs a topic: %s:<topic>, or %s:* for all", action, action)
	case !takes && hasTopic:
		return Grant{}, badGrant(s, "%s takes no topic", action)
	case !takes:
		return Grant{Action: Action(action)}, nil
	case topic == AllTopics:
		return Grant{Action(action), AllTopics}, nil
	}
	if err := subject.CheckTopic(topic); err != nil {
		return Grant{}, badGrant(s, "%s", err)
	}
	return Grant{Action(action), subject.Fold(topic)}, nil
}

func badGrant(s, format string, args ...any) error {
	return fault.Field(fault.InvalidRequest, "grant", "%.64q: "+format, append([]any{s}, args...)...)
}

// String is the text ParseGrant reads.
func (g Grant) String() string {
	if g.Topic == "" {
		return string(g.Action)
	}
	return string(g.Action) + ":" + g.Topic
}

// covers says whether g allows the action on the topic, folded; "" = all topics.
func (g Grant) covers(a Action, topic string) bool {
	return g.Action == a && (g.Topic == "" || g.Topic == AllTopics || g.Topic == topic)
}

// Grants are all grants of a token; an empty list allows nothing but the clock.
type Grants []Grant

// ParseGrants reads several grants and stops at the first that is wrong.
func ParseGrants(texts []string) (Grants, error) {
	gs := make(Grants, 0, len(texts))
	for _, s := range texts {
		g, err := ParseGrant(s)
		if err != nil {
			return nil, err
		}
		gs = append(gs, g)
	}
	return gs, nil
}

// Everything is what a token may do inside its tenants when nothing narrower is
// asked for. Admin is not part of it: it reaches beyond the token's own user.
func Everything() Grants {
	return Grants{{Subscribe, AllTopics}, {Publish, AllTopics}, {Action: Mailbox}, {Action: Realtime}}
}

// Texts is the grants as a token carries them.
func (gs Grants) Texts() []string {
	texts := make([]string, len(gs))
	for i, g := range gs {
		texts[i] = g.String()
	}
	return texts
}

func (gs Grants) cover(a Action, topic string) bool {
	for _, g := range gs {
		if g.covers(a, topic) {
			return true
		}
	}
	return false
}
