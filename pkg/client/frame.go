package client

import (
	"encoding/json"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// The plain WebSocket protocol, subprotocol belfry.v1 (proto/README.md).
//
//	client                                  server
//	                                        {"welcome":{"connection","epoch","pingSeconds","maxFrameBytes"}}
//	{"id":"1","subscribe":{…}}         ──▶  {"id":"1","subscribed":{"cursor"}}
//	{"id":"2","unsubscribe":{…}}       ──▶  {"id":"2","unsubscribed":{}}
//	{"id":"3","resume":{"cursor",
//	          "subscriptions":[…]}}    ──▶  {"id":"3","resumed":{"cursor"}}, then what was missed
//	                                        {"cursor","event":{…}}
//	                                        {"id"?,"error":{"code","message","details"}}
//	                                        {"expiring":{"seconds"}}
//	{"id":"4","token":{"accessToken"}} ──▶  {"ended":{"subscription","error"}}, {"id":"4","renewed":{…}}
//
// One WebSocket message holds one or more frames, one line of JSON each. All
// frames of one stored event are in one message.
const subprotocol = "belfry.v1"

// Subscription says which events a window wants: by topic and verb (the event
// as it is stored), or by name (its view of that name). Names are compared
// ignoring case.
type Subscription struct {
	Tenant string `json:"tenant,omitempty"` // "" = every tenant of the token
	Topic  string `json:"topic,omitempty"`  // "" = every topic
	Verb   string `json:"verb,omitempty"`   // "" = every verb
	Name   string `json:"name,omitempty"`   // such as frm.objectInserted, frm.time.Noon or presence; excludes Topic and Verb
}

// same says whether the server takes both for one subscription.
func (s Subscription) same(o Subscription) bool {
	return s.Tenant == o.Tenant && subject.Fold(s.Topic) == subject.Fold(o.Topic) &&
		subject.Fold(s.Verb) == subject.Fold(o.Verb) && subject.Fold(s.Name) == subject.Fold(o.Name)
}

func (s Subscription) check() error {
	if s.Name != "" && (s.Topic != "" || s.Verb != "") {
		return fault.Field(fault.InvalidRequest, "name", "excludes topic and verb")
	}
	return nil
}

// request is a frame of the client; exactly one member besides ID is set.
type request struct {
	ID          string        `json:"id"`
	Subscribe   *Subscription `json:"subscribe,omitempty"`
	Unsubscribe *Subscription `json:"unsubscribe,omitempty"`
	Resume      *resume       `json:"resume,omitempty"`
	Token       *newerToken   `json:"token,omitempty"`
}

type newerToken struct {
	AccessToken string `json:"accessToken"`
}

type resume struct {
	Cursor        string         `json:"cursor"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// answer is a frame of the server. An unknown kind of frame leaves all empty
// and is passed over, so that servers may add some.
type answer struct {
	ID         string          `json:"id"`
	Welcome    *welcome        `json:"welcome"`
	Subscribed *position       `json:"subscribed"`
	Resumed    *position       `json:"resumed"`
	Done       *struct{}       `json:"unsubscribed"`
	Cursor     string          `json:"cursor"`
	Event      json.RawMessage `json:"event"`
	Error      *fault.Error    `json:"error"`
	Expiring   *struct{}       `json:"expiring"`
	Ended      *ended          `json:"ended"`
}

// ended tells of a subscription that a newer token does not grant.
type ended struct {
	Subscription Subscription `json:"subscription"`
	Error        *fault.Error `json:"error"`
}

type welcome struct {
	Connection  string `json:"connection"`
	Epoch       string `json:"epoch"`
	PingSeconds int    `json:"pingSeconds"`
}

type position struct {
	Cursor string `json:"cursor"`
}

// item reads an event frame. The cursor is zero for what is not stored.
func (a *answer) item() (Item, error) {
	var it Item
	var err error
	if a.Cursor != "" {
		if it.Cursor, err = event.ParseCursor(a.Cursor); err != nil {
			return it, err
		}
	}
	it.Event, err = event.ParseJSON(a.Event)
	return it, err
}
