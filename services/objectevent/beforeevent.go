package objectevent

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// hookSource is who says what this service says of itself.
const hookSource = "/objectevent"

// verbDeleting is the verb of the event that is stored before hooks are asked.
const verbDeleting = "deleting"

// deleting is the event of a question: <topic>.deleting, under the deletion id,
// with what the caller told of the object.
func deleting(id string, d Deletion, q *question) (event.Event, error) {
	e := event.Event{
		ID: id, Source: hookSource, Subject: d.Object, Tenant: d.Tenant, Topic: d.Topic, Verb: verbDeleting,
		CorrelationID: q.correlation, ObjectVersion: q.version,
	}
	e.SetChange(event.Change{
		Actor: q.actor, Action: string(d.Mode), Resource: event.Resource{ID: d.Object, Version: q.version}, Old: q.old,
	})
	e.Complete(d.Asked)
	return e, e.Validate()
}

// storeDeleting stores the event exactly once, however often a question is asked
// again, on whichever replica and however much later: a record under the deletion's
// own subject, expected to be empty, goes into the same batch. It answers the
// event's position. Code unavailable: it may be stored, and asking again tells.
func (h *hooks) storeDeleting(ctx context.Context, e *event.Event) (event.Cursor, error) {
	subj, err := subject.DeletionRecord(e.Tenant, e.ID)
	if err != nil {
		return event.Cursor{}, err
	}
	m, err := e.Msg()
	if err != nil {
		return event.Cursor{}, err
	}
	m.Header.Del(nats.MsgIdHdr) // the record tells repetitions, beyond the two minutes of an id
	telemetry.Inject(ctx, m.Header)
	if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
		return event.Cursor{}, fault.New(fault.EventTooLarge, "the event has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
	}
	record := &nats.Msg{Subject: subj, Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"0"}}, Data: []byte("{}")}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	select {
	case h.batches <- struct{}{}:
		defer func() { <-h.batches }()
	case <-ctx.Done():
		return event.Cursor{}, notConfirmed(ctx.Err())
	}
	for {
		at, err := h.tryDeleting(ctx, record, m)
		if err == nil || fault.CodeOf(err).Kind() != fault.Down {
			return at, err
		}
		select { // whether it was stored after all, the next try sees
		case <-time.After(storeAgain):
		case <-ctx.Done():
			return event.Cursor{}, err
		}
	}
}

const (
	// maxBatches is how many batches a process has open at once. EVENTS takes 50 of
	// everybody, and the relays need theirs.
	maxBatches = 8

	storeWithin = 5 * time.Second
	storeAgain  = 50 * time.Millisecond
)

// tryDeleting stores the two messages, or finds that they are stored.
func (h *hooks) tryDeleting(ctx context.Context, record, m *nats.Msg) (event.Cursor, error) {
	state, err := h.events.State(ctx)
	if err != nil {
		return event.Cursor{}, err
	}
	ack, err := h.bus.PublishBatch(ctx, []*nats.Msg{record, m})
	switch {
	case err == nil:
		return event.Cursor{Epoch: state.Epoch, Seq: ack.Seq}, nil
	case errors.Is(err, bus.ErrExpectation):
		found, ok, err := h.events.Last(ctx, record.Subject)
		if err != nil || !ok {
			return event.Cursor{}, notConfirmed(err)
		}
		return event.Cursor{Epoch: state.Epoch, Seq: found.Seq + 1}, nil // the event is behind its record
	case fault.CodeOf(err) == fault.EventTooLarge:
		return event.Cursor{}, err
	}
	return event.Cursor{}, notConfirmed(err)
}

func notConfirmed(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the log did not confirm the event; ask again with the same requestId")
}

// quoted is a text as JSON.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}

// took is how long the call was under way.
func (a Answer) took() time.Duration { return time.Duration(a.Millis * float64(time.Millisecond)) }
