package event

import (
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"github.com/belfry-events/belfry/pkg/subject"
)

// Event is a CloudEvents 1.0 event with Belfry's extensions, decoded from
// whatever carried it. A zero field is an absent attribute. Data is shared with
// the message it came in: do not write into it.
type Event struct {
	ID              string    // unique together with Source; default a NewID
	Source          string    // URI reference of who says so; default DefaultSource
	Type            string    // what happened; default "<topic>.<verb>" in lower case
	Subject         string    // the id of the object it is about
	Time            time.Time // when it happened
	DataContentType string    // media type of Data; default application/json
	DataSchema      string    // absolute URI of Data's schema
	Data            []byte    // the payload; JSON unless DataContentType says otherwise

	Tenant string // who owns it
	Topic  string // the resource, as the publisher spelled it: compare after subject.Fold
	Verb   string // what was done, as the publisher spelled it: compare after subject.Fold

	Recipient     string    // the user a real-time event is addressed to
	CorrelationID string    // the publisher's own reference; PORTOS "r"
	ExpiryTime    time.Time // not delivered live after this moment; PORTOS "ea"
	ObjectVersion *int64    // version of the object after the change; nil = unknown

	SenderConnection string // connection it was sent from; PORTOS "s.c"
	SenderUser       string // unique user name; PORTOS "s.u.u"
	SenderDevice     string // device name; PORTOS "s.u.d"
	SenderFeature    string // module acting as a virtual user; PORTOS "s.u.f"

	Frm         *bool  // whether the frm and sys views exist; nil = true
	Unannounced bool   // a deletion only seen afterwards: nobody was asked, so no sys.userDelete view
	Malformed   string // why the message was treated as bare; "" = it was well formed

	Extensions map[string]any // all other extensions: string, bool or int32 by lower-case name
}

// DefaultSource is the source of an event whose publisher named none.
const DefaultSource = "/nats"

// NewID is a fresh event id: 22 characters of [0-9A-Za-z], unique without
// coordination.
func NewID() string { return nuid.Next() }

// Complete fills in what a publisher may leave out: topic and verb from the
// type's last dot (only when both are absent), type from topic and verb, id,
// source, time = now, and the content type when there is data.
func (e *Event) Complete(now time.Time) {
	if e.Topic == "" && e.Verb == "" {
		if dot := strings.LastIndexByte(e.Type, '.'); dot >= 0 {
			e.Topic, e.Verb = e.Type[:dot], e.Type[dot+1:]
		}
	}
	if e.Type == "" && e.Topic != "" && e.Verb != "" {
		e.Type = typeOf(e.Topic, e.Verb)
	}
	if e.ID == "" {
		e.ID = NewID()
	}
	if e.Source == "" {
		e.Source = DefaultSource
	}
	if e.Time.IsZero() {
		e.Time = now.UTC()
	}
	if e.DataContentType == "" && len(e.Data) > 0 {
		e.DataContentType = jsonType
	}
}

// typeOf is the default type. It is folded, because consumers compare types
// byte by byte, whatever the publisher's spelling.
func typeOf(topic, verb string) string { return subject.Fold(topic) + "." + subject.Fold(verb) }
