package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Where an object is lies in another stream than its events, so the two cannot be
// stored in one batch:
//
//	decide by TRASH ─▶ batch into EVENTS: receipt, events, cursor ─▶ TRASH ─▶ acknowledge ─▶ sweep
//
// An operation that came before finds its receipt in the batch, and moves nothing. A
// worker that ends behind the batch leaves an operation that is relayed and not
// acknowledged: the next worker is told of it before it decides anything else, and its
// receipt says where the object has gone. A worker that wakes up late finds a record
// that covers its own.

// Ahead reads where the objects are that the worker is about to be asked about.
func (w *worker) Ahead(ctx context.Context, ms []relay.Message) error {
	var wheres []string
	asked := map[string]bool{}
	for _, m := range ms {
		a, canonical, ok := subject.ParseOperation(m.Subject)
		name := operationName(subject.Fold(a.Op))
		if t := knownOperations[name]; !ok || !canonical || !t.looks && !t.moves || name != opTrash && !w.trashy[topicKey(a.Tenant, a.Topic)] {
			continue
		}
		where, err := subject.Trash(a.Tenant, a.Topic, a.Object)
		if err != nil || asked[where] {
			continue // Map says what is wrong with it
		}
		if _, known := w.lookout.records[where]; !known {
			wheres, asked[where] = append(wheres, where), true
		}
	}
	return w.lookout.ahead(ctx, wheres)
}

// AfterBatch moves objects whose events are stored now, counts, and lets go.
func (w *worker) AfterBatch(ctx context.Context, ms []relay.Message) error {
	var moves []*trashMove
	for _, m := range ms {
		move, err := w.moveOf(ctx, m)
		switch {
		case err != nil:
			return err
		case move != nil:
			moves = append(moves, move)
		}
	}
	if err := w.trash.write(ctx, moves); err != nil {
		return err
	}
	for _, m := range moves {
		w.lookout.moved(m.where, m.at)
	}
	for _, m := range ms {
		w.done(m)
	}
	w.sweep.settled(w.partition, ms[len(ms)-1].At.Seq)
	return nil
}

// moveOf is how an operation that is stored moves its object, nil for not at all.
func (w *worker) moveOf(ctx context.Context, m relay.Message) (*trashMove, error) {
	h := w.hand[m.At.Seq]
	switch {
	case h == nil:
		return w.inherited(ctx, m)
	case m.Known:
		return nil, nil
	}
	return h.move, nil
}

// inherited is the move of an operation that another worker has relayed and not
// acknowledged: perhaps it has not moved the object.
func (w *worker) inherited(ctx context.Context, m relay.Message) (*trashMove, error) {
	o, err := readOperation(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored})
	if err != nil || !knownOperations[o.name].moves {
		return nil, nil //nolint:nilerr // it was refused
	}
	if o.name != opTrash {
		if has, err := w.hasTrash(ctx, o.Tenant, o.Topic); err != nil || !has {
			return nil, err
		}
	}
	subj, err := subject.OperationRecord(o.Tenant, o.ID)
	if err != nil {
		return nil, nil //nolint:nilerr // it was refused
	}
	stored, ok, err := w.events.Last(ctx, subj)
	if err != nil || !ok {
		return nil, err
	}
	var r receipt
	if err := json.Unmarshal(stored.Data, &r); err != nil {
		return nil, fmt.Errorf("read the record under %s: %w", subj, err)
	}
	if r.Moved == "" || r.At != m.At.String() {
		return nil, nil // it moved nothing, or was reported before
	}
	where, err := subject.Trash(o.Tenant, o.Topic, o.Subject)
	if err != nil {
		return nil, nil //nolint:nilerr // it was refused
	}
	over, err := w.trash.read(ctx, where)
	if err != nil || over.covers(m.At) {
		return nil, err
	}
	w.trashy[topicKey(o.Tenant, o.Topic)] = true
	return o.move(where, over, m.At, r.Moved), nil
}

// move is the record of an operation that moves its object.
func (o *operation) move(where string, over trashRecord, at event.Cursor, to whereabouts) *trashMove {
	asked := over.Asked
	if to == inTrash {
		asked = o.deletion
	}
	return &trashMove{where: where, over: over.revision, record: trashRecord{
		At: at, Seq: at.String(), ID: o.ID, Before: over.when(at), After: to, Version: o.ObjectVersion, Asked: asked,
	}}
}
