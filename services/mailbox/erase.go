package mailbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// EraseOptions say whose events go.
type EraseOptions struct {
	Tenant string // required
	User   string // required; compared exactly
	DryRun bool   // only count
}

// Erased is how many messages were erased, or would be.
type Erased struct {
	Events      int // in the log
	Copies      int // waiting in mailboxes
	DeadLetters int // of mailboxes
	GivenUp     int // in DEADLETTERS
}

// usersTopic is the topic whose events are about the user that is their subject.
const usersTopic = "users"

// Erase removes a person from what is stored (GDPR article 17): events of a tenant
// that are for the user (recipient), by the user (senderuser, or the actor of a
// change), or about the user (topic users), and alerts about such changes; in the log,
// in every mailbox, and among what relays gave up. Their bytes are overwritten on the
// disk.
//
// What partners have confirmed already is theirs to erase. Only what was stored
// when it began is looked at, and it may be repeated; so that no copy is made of an
// event while it is being erased, the log goes first. Codes invalid_name, and
// unavailable: then part of it is done, and it is to be repeated.
func Erase(ctx context.Context, nc *nats.Conn, o EraseOptions) (done Erased, err error) {
	if err := subject.CheckTenant(o.Tenant); err != nil {
		return done, err
	}
	if _, err := subject.Escape("user", o.User); err != nil {
		return done, err
	}
	log, err := subject.TenantEvents(o.Tenant)
	if err != nil {
		return done, err
	}
	e := eraser{nc: nc, o: o}
	if done.Events, err = e.stream(ctx, topology.Events, log, e.inLog); err != nil {
		return done, err
	}
	if done.Copies, err = e.stream(ctx, Stream, subject.MailboxCopies, e.inMailbox); err != nil {
		return done, err
	}
	if done.DeadLetters, err = e.stream(ctx, Stream, subject.MailboxDeadLetters, e.inMailbox); err != nil {
		return done, err
	}
	if done.GivenUp, err = e.stream(ctx, topology.DeadLetters, subject.DeadLetters, e.givenUp); err != nil {
		return done, err
	}
	if done.Copies > 0 && !o.DryRun {
		err = sleep(ctx, namedFor) // until no replica knows a message that it has named
	}
	return done, err
}

type eraser struct {
	nc *nats.Conn
	o  EraseOptions
}

// stream erases what is meant of one stream.
func (e eraser) stream(ctx context.Context, name, filter string, meant func(message) bool) (count int, err error) {
	st := callsTo(ask(e.nc), name)
	info, err := st.info(ctx, "")
	if err != nil {
		return 0, err
	}
	err = st.pages(ctx, e.nc, filter, info.State.Last, func(m message) error {
		if !meant(m) {
			return nil
		}
		count++
		if e.o.DryRun {
			return nil
		}
		if err := st.Erase(ctx, m.Seq); err != nil {
			if _, there, lookErr := st.At(ctx, m.Seq); lookErr != nil || there {
				return fault.Wrap(fault.Unavailable, err, "message %d of %s is not erased; erase again", m.Seq, name)
			}
		}
		return nil
	})
	return count, err
}

func (e eraser) inLog(m message) bool {
	ev := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Time: m.Time})
	return e.meant(&ev)
}

func (e eraser) inMailbox(m message) bool {
	ev, err := event.ParseJSON(body(&m))
	return err == nil && ev.Tenant == e.o.Tenant && e.meant(&ev)
}

// givenUp is meant of a dead letter: an event, or the report of an operation.
func (e eraser) givenUp(m message) bool {
	subj := m.Header.Get(bus.HeaderSubject)
	op, _, isOp := subject.ParseOperation(subj)
	if isOp {
		var err error
		if subj, err = subject.Event(subject.Address{Tenant: op.Tenant, Topic: op.Topic, Verb: op.Op}); err != nil {
			return false
		}
	}
	ev := event.Decode(subj, m.Header, m.Data, event.Stored{Time: m.Time})
	switch {
	case ev.Tenant != e.o.Tenant:
		return false
	case isOp && subject.Fold(op.Topic) == usersTopic && op.Object == e.o.User:
		return true
	}
	return e.meant(&ev) || isOp && e.told(&ev)
}

// Where data tells of changes without being one.
const (
	alertSource  = "/objectevent/alerts"
	refusedTopic = "operations" // operations.refused
)

// meant says whether an event is for, by or about the user.
func (e eraser) meant(ev *event.Event) bool {
	user, topic := e.o.User, subject.Fold(ev.Topic)
	switch {
	case ev.Recipient == user, ev.SenderUser == user, topic == usersTopic && ev.Subject == user:
		return true
	case ev.DataSchema == event.ChangeSchema, ev.Source == alertSource, topic == refusedTopic:
		return e.told(ev)
	}
	return false
}

// told says whether a change, an alert about one, or the refusal of one names the
// user where it names people.
func (e eraser) told(ev *event.Event) bool {
	var d struct {
		Actor    json.RawMessage `json:"actor"`
		Resource json.RawMessage `json:"resource"`
		Change   json.RawMessage `json:"change"` // of an alert
		Topic    json.RawMessage `json:"topic"`  // of a refusal
		Object   json.RawMessage `json:"object"` // of both
	}
	if json.Unmarshal(ev.Data, &d) != nil {
		return false
	}
	user, of := e.o.User, text(d.Topic)+member(d.Change, "topic")
	return member(d.Actor, "user") == user ||
		subject.Fold(ev.Topic) == usersTopic && member(d.Resource, "id") == user ||
		subject.Fold(of) == usersTopic && text(d.Object) == user
}

// member is a text in an object; "" if there is none.
func member(object json.RawMessage, name string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return ""
	}
	return text(m[name])
}

func text(value json.RawMessage) (s string) {
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// String says it for people.
func (e Erased) String() string {
	return fmt.Sprintf("%d events of the log, %d waiting in mailboxes, %d dead letters of mailboxes, %d given up", e.Events, e.Copies, e.DeadLetters, e.GivenUp)
}
