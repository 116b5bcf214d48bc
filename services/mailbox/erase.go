package mailbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

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
}

// usersTopic is the topic whose events are about the user that is their subject.
const usersTopic = "users"

// Erase removes a person from what is stored (GDPR article 17): events of a tenant
// that are for the user (recipient), by the user (senderuser, or the actor of a
// change), or about the user (topic users), in the log and in every mailbox. Their
// bytes are overwritten on the disk.
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
	st := stream{conn{e.nc}, name}
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
		if err := st.erase(ctx, m.Seq); err != nil {
			if _, there, lookErr := st.at(ctx, m.Seq); lookErr != nil || there {
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

// meant says whether an event is for, by or about the user.
func (e eraser) meant(ev *event.Event) bool {
	user := e.o.User
	if ev.Recipient == user || ev.SenderUser == user {
		return true
	}
	if subject.Fold(ev.Topic) == usersTopic && (ev.Subject == user || subjectOf(ev) == user) {
		return true
	}
	if ev.DataSchema != event.ChangeSchema {
		return false
	}
	actor := ev.Change().Actor
	return actor != nil && actor.User == user
}

// subjectOf is the object of a change, where the event itself does not name it.
func subjectOf(ev *event.Event) string {
	var c struct {
		Resource struct {
			ID string `json:"id"`
		} `json:"resource"`
	}
	if ev.DataSchema != event.ChangeSchema || json.Unmarshal(ev.Data, &c) != nil {
		return ""
	}
	return c.Resource.ID
}

// String says it for people.
func (e Erased) String() string {
	return fmt.Sprintf("%d events of the log, %d waiting in mailboxes, %d dead letters", e.Events, e.Copies, e.DeadLetters)
}
