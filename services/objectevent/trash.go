package objectevent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// trashRecord says where an object is, and which operation brought it there:
//
//	before ──operation at──▶ after
//
// The operation that wrote it may be asked about again, after a crash before its
// events were stored; it decides by before, as it did the first time.
type trashRecord struct {
	At      event.Cursor `json:"-"`
	Seq     string       `json:"opSeq"` // At, as text
	ID      string       `json:"opId"`
	Before  whereabouts  `json:"before"`
	After   whereabouts  `json:"after"`
	Version *int64       `json:"version,omitempty"` // of the object, when it was moved

	revision uint64 // sequence in TRASH; 0 = there is no record
}

// when is where the object was when the operation at a position of OPERATIONS
// happened. The record is at most one operation ahead: a batch moves an object
// once.
func (r trashRecord) when(at event.Cursor) whereabouts {
	switch {
	case r.revision == 0:
		return inUse
	case r.At.Epoch == at.Epoch && r.At.Seq >= at.Seq:
		return r.Before
	}
	return r.After
}

// restoredKept is how long it is remembered that an object is not in the trash any
// more: for as long as the operation that took it out may be asked about again.
const restoredKept = 30 * 24 * time.Hour

// trash reads and writes the records, by its leader.
type trash struct {
	js jetstream.JetStream

	mu     sync.Mutex
	stream jetstream.Stream // nil until it is first used
}

func (t *trash) open(ctx context.Context) (jetstream.Stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stream == nil {
		s, err := t.js.Stream(ctx, Trash)
		if err != nil {
			return nil, storeDown(err)
		}
		t.stream = s
	}
	return t.stream, nil
}

// read is the record under a subject, which may be a filter: then the newest. A
// record without revision: there is none. Code unavailable.
func (t *trash) read(ctx context.Context, subj string) (r trashRecord, err error) {
	s, err := t.open(ctx)
	if err != nil {
		return r, err
	}
	m, err := s.GetLastMsgForSubject(ctx, subj)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return r, nil
	case err != nil:
		return r, storeDown(err)
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return r, fmt.Errorf("read the record under %s: %w", subj, err)
	}
	if r.At, err = event.ParseCursor(r.Seq); err != nil {
		return r, fmt.Errorf("read the record under %s: %w", subj, err)
	}
	r.revision = m.Sequence
	return r, nil
}

// has says whether anything is, or was, in the trash of a topic.
func (t *trash) has(ctx context.Context, tenant, topic string) (bool, error) {
	filter, err := subject.TopicTrash(tenant, topic)
	if err != nil {
		return false, err
	}
	r, err := t.read(ctx, filter)
	return r.revision != 0, err
}

// move writes that an operation moved an object, over the record that was read.
// Code unavailable: also when somebody else was faster, then the operation is
// decided anew.
func (t *trash) move(ctx context.Context, subj string, over trashRecord, o *operation, at event.Cursor, to whereabouts) error {
	data, err := json.Marshal(trashRecord{
		Seq: at.String(), ID: o.ID, Before: over.when(at), After: to, Version: o.ObjectVersion,
	})
	if err != nil {
		return fmt.Errorf("write the record of the trash: %w", err)
	}
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(over.revision)}
	if to == inUse {
		options = append(options, jetstream.WithMsgTTL(restoredKept))
	}
	_, err = t.js.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: data}, options...)
	if err != nil {
		return fault.Wrap(fault.Unavailable, notWritten(err), "the trash was not written; decided again")
	}
	return nil
}
