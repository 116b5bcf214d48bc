package mailbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// record is what a subscriber decided about its subscriptions, as it stands in
// EVENTS under ctl.sub.<subscriber>. Its place there says which events it is
// about: a subscription takes every matching event behind it (MB5).
type record struct {
	Op            operation `json:"op"`
	Tenant        string    `json:"tenant,omitempty"`
	Topic         string    `json:"topic,omitempty"` // as the subscriber spells it
	Verbs         []string  `json:"verbs,omitempty"` // in lower case, sorted; none = all but deleting
	MaxDeliveries int       `json:"max_deliveries,omitempty"`
	Before        uint64    `json:"before,omitempty"` // of clear: subscriptions younger than this position stay
}

// operation is what a record does.
type operation string

const (
	opSubscribe   operation = "subscribe"   // or change verbs and deliveries of what is there
	opUnsubscribe operation = "unsubscribe" // one topic
	opClear       operation = "clear"       // all of an expired subscriber
)

// parseRecord reads a record; code invalid_request, so that the relay gives up
// what is none.
func parseRecord(data []byte) (r record, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fault.Wrap(fault.InvalidRequest, err, "record: is not JSON")
	}
	switch {
	case !slices.Contains([]operation{opSubscribe, opUnsubscribe, opClear}, r.Op):
		return r, fault.Field(fault.InvalidRequest, "op", "%.32q is no operation", r.Op)
	case r.Op != opClear && (r.Tenant == "" || r.Topic == ""):
		return r, fault.Field(fault.InvalidRequest, "topic", "must not be empty")
	}
	return r, nil
}

// deleting announces what deleted then reports; who has not asked for it gets
// only the latter.
const deleting = "deleting"

// foldVerbs is a list of verbs as a record has it. Code invalid_verb.
func foldVerbs(verbs []string) ([]string, error) {
	if len(verbs) > maxVerbs {
		return nil, fault.Field(fault.InvalidRequest, "verbs", "%d are above the maximum of %d", len(verbs), maxVerbs)
	}
	folded := make([]string, len(verbs))
	for i, v := range verbs {
		if err := subject.CheckVerb(v); err != nil {
			return nil, fault.InField(err, fmt.Sprintf("verbs[%d]", i))
		}
		folded[i] = subject.Fold(v)
	}
	slices.Sort(folded)
	return slices.Compact(folded), nil
}

const maxVerbs = 32

// subscription is one mailbox, in the table of the relay's worker and as a document
// in MAILBOX under mbx.t.<subscriber>.<id>. The id is the position of its first
// record in EVENTS, so a mailbox that was deleted and set up again has another.
type subscription struct {
	Tenant        string   `json:"tenant"`
	Topic         string   `json:"topic"` // as spelt
	Verbs         []string `json:"verbs,omitempty"`
	MaxDeliveries int      `json:"max_deliveries,omitempty"`
	Since         string   `json:"since"` // cursor of its first record

	subscriber, id string
	copies         string // subject
	gone           uint64 // position of the record that ended it; 0 = it lives
}

// takes says whether the mailbox takes an event of a verb in lower case.
func (s *subscription) takes(verb string) bool {
	if len(s.Verbs) == 0 {
		return verb != deleting
	}
	return slices.Contains(s.Verbs, verb)
}

// place is the topic that a subscription is for.
type place struct{ tenant, topic string } // topic in lower case

func (s *subscription) place() place { return place{s.Tenant, subject.Fold(s.Topic)} }

// compare orders the mailboxes of a topic, so that the copies of an event are the
// same list whoever makes it.
func (s *subscription) compare(o *subscription) int {
	if c := strings.Compare(s.subscriber, o.subscriber); c != 0 {
		return c
	}
	return strings.Compare(s.id, o.id)
}
