package objectevent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// hookSource is who says what this service says of itself.
const hookSource = "/objectevent"

// deleting is the event of a question: <topic>.deleting, under the deletion id,
// with what the caller told of the object.
func deleting(id string, d Deletion, q *question) (event.Event, error) {
	e := event.Event{
		ID: id, Source: hookSource, Subject: d.Object, Tenant: d.Tenant, Topic: d.Topic, Verb: toDelete,
		CorrelationID: q.correlation, ObjectVersion: q.version,
	}
	e.SetChange(event.Change{
		Actor: q.actor, Action: string(d.Mode), Resource: event.Resource{ID: d.Object, Version: q.version}, Old: q.old,
	})
	e.Complete(d.Asked)
	return e, e.Validate()
}

// storeDeleting stores the event exactly once, however often a question is asked
// again, on whichever replica and however much later, and answers its position.
// Within two minutes JetStream tells a repetition by its id. Whoever takes a
// question over that was noted before looks first: from is where the log stood
// then, nil for a question that is new; epoch is the log's of now. (A record of its own beside the event, as
// operations have one, would need an atomic batch: a hundred times the cost, and
// JetStream takes fifty at a time.) Code unavailable: it may be stored, and asking
// again tells.
func (h *hooks) storeDeleting(ctx context.Context, e *event.Event, from *event.Cursor, epoch string) (event.Cursor, error) {
	m, err := e.Msg()
	if err != nil {
		return event.Cursor{}, err
	}
	if from != nil {
		seq, err := h.findDeleting(ctx, m.Subject, e, *from, epoch)
		if err != nil || seq != 0 {
			return event.Cursor{Epoch: epoch, Seq: seq}, err
		}
	}
	telemetry.Inject(ctx, m.Header)
	if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
		return event.Cursor{}, fault.New(fault.EventTooLarge, "the event has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
	}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	ack, err := h.bus.JS.PublishMsg(ctx, m, jetstream.WithRetryAttempts(storeTries), jetstream.WithRetryWait(storeAgain))
	if err != nil {
		return event.Cursor{}, fault.Wrap(fault.Unavailable, err, "the log did not confirm the event; ask again with the same requestId")
	}
	return event.Cursor{Epoch: epoch, Seq: ack.Sequence}, nil
}

// How patient storing is with a log that elects a leader.
const (
	storeWithin = 5 * time.Second
	storeTries  = 20
	storeAgain  = 200 * time.Millisecond
)

// Of one page that findDeleting reads.
const (
	pageEvents = 256
	pageBytes  = 4 << 20
)

// findDeleting looks for the event behind a position; 0 = it is not there. A page
// may come from a replica that is behind, so the leader says where the end is.
func (h *hooks) findDeleting(ctx context.Context, subj string, e *event.Event, from event.Cursor, epoch string) (uint64, error) {
	after := from.Seq
	if from.Epoch != epoch {
		after = 0 // the log was made anew since
	}
	is := func(m eventlog.Message) bool {
		found := event.Decode(m.Subject, m.Header, m.Data, event.Stored{})
		return found.ID == e.ID && found.Source == e.Source
	}
	for {
		msgs, end, err := h.events.Page(ctx, subj, after+1, pageEvents, pageBytes)
		if err != nil {
			return 0, err
		}
		for _, m := range msgs {
			if is(m) {
				return m.Seq, nil
			}
			after = m.Seq
		}
		if !end {
			continue
		}
		m, ok, err := h.events.Next(ctx, subj, after+1)
		if err != nil || !ok {
			return 0, err
		}
		if is(m) {
			return m.Seq, nil
		}
		after = m.Seq
	}
}

// quoted is a text as JSON.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}

// took is how long the call was under way.
func (a Answer) took() time.Duration { return time.Duration(a.Millis * float64(time.Millisecond)) }
