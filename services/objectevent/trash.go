package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
)

// trashRecord says where an object is, and which operation brought it there:
//
//	before ──operation at──▶ after
//
// It is written when the operation's events are stored, and before the operation is
// acknowledged; see trashmove.go.
type trashRecord struct {
	At      event.Cursor `json:"-"`
	Seq     string       `json:"opSeq"` // At, as text
	ID      string       `json:"opId"`
	Before  whereabouts  `json:"before"`
	After   whereabouts  `json:"after"`
	Version *int64       `json:"version,omitempty"` // of the object, when it was moved
	// Asked is the deletion that brought it to the trash last, also when it is back: one
	// answer allows one deletion.
	Asked string `json:"asked,omitempty"`

	revision uint64 // sequence in TRASH; 0 = there is no record
}

// when is where the object was when the operation at a position of OPERATIONS
// happened: an operation that is asked about again is decided as it was at first.
func (r trashRecord) when(at event.Cursor) whereabouts {
	switch {
	case r.revision == 0:
		return inUse
	case r.covers(at):
		return r.Before
	}
	return r.After
}

// covers says whether the operation at a position, or one after it, moved the object.
func (r trashRecord) covers(at event.Cursor) bool {
	return r.revision != 0 && r.At.Epoch == at.Epoch && r.At.Seq >= at.Seq
}

// restoredKept is how long it is remembered that an object is not in the trash any
// more: for as long as the operation that took it out may be asked about again.
const restoredKept = 30 * 24 * time.Hour

// trash reads and writes the records.
type trash struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// read is the record under a subject, in the leader's word, which is not enough to
// decide by: see lookout. A record without revision: there is none. Code unavailable.
func (t *trash) read(ctx context.Context, subj string) (r trashRecord, err error) {
	m, ok, err := storedIn(t.nc, Trash).Last(ctx, subj)
	if err != nil || !ok {
		return r, err
	}
	return parseTrash(m)
}

func parseTrash(m stream.Message) (r trashRecord, err error) {
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return r, fmt.Errorf("read the record under %s: %w", m.Subject, err)
	}
	if r.At, err = event.ParseCursor(r.Seq); err != nil {
		return r, fmt.Errorf("read the record under %s: %w", m.Subject, err)
	}
	r.revision = m.Seq
	return r, nil
}

// trashMove is a record to be, over the one of a revision.
type trashMove struct {
	where  string
	record trashRecord
	over   uint64
	at     uint64 // its sequence, or that of what covers it, when it is written
}

// movesAtOnce is how many moves are under way at a time: eight partitions together
// stay below what the client library lets be outstanding.
const movesAtOnce = 256

// write writes moves, all at once, each over its revision; what a record there covers
// already is written. Code unavailable: some may be written, and all may be tried
// again.
func (t *trash) write(ctx context.Context, moves []*trashMove) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for len(moves) > 0 {
		some := moves[:min(len(moves), movesAtOnce)]
		if err := t.writeSome(ctx, some); err != nil {
			return err
		}
		moves = moves[len(some):]
	}
	return nil
}

func (t *trash) writeSome(ctx context.Context, moves []*trashMove) error {
	written := make([]jetstream.PubAckFuture, len(moves))
	for i, m := range moves {
		data, err := json.Marshal(m.record)
		if err != nil {
			return fmt.Errorf("write the record of the trash: %w", err)
		}
		options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(m.over), jetstream.WithStallWait(storeTimeout)}
		if m.record.After == inUse {
			options = append(options, jetstream.WithMsgTTL(restoredKept))
		}
		if written[i], err = t.js.PublishMsgAsync(&nats.Msg{Subject: m.where, Data: data}, options...); err != nil {
			return trashDown(err)
		}
	}
	var first error
	for i, m := range moves {
		var err error
		select {
		case ack := <-written[i].Ok():
			m.at = ack.Sequence
		case err = <-written[i].Err():
			err = t.settled(ctx, m, err)
		case <-ctx.Done():
			err = trashDown(ctx.Err())
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// settled is nil when a move that was refused is written already, by us or by whoever
// worked here meanwhile. Else the next try is over what is there now.
func (t *trash) settled(ctx context.Context, m *trashMove, cause error) error {
	if fault.CodeOf(notWritten(cause)) == fault.Conflict {
		have, err := t.read(ctx, m.where)
		switch {
		case err != nil:
			return err
		case have.covers(m.record.At):
			m.at = have.revision
			return nil
		}
		m.over = have.revision
	}
	return trashDown(cause)
}

func trashDown(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the trash was not written; it is tried again")
}
