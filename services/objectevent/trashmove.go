package objectevent

import (
	"context"

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
// worker that ends behind the batch leaves an operation that is relayed and not settled:
// the next worker is told of it before it decides anything else, and its receipt says
// where the object has gone (inherit.go). A worker that wakes up late finds a record that
// covers its own.

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
	var strange []relay.Message // of the worker before
	for _, m := range ms {
		switch h := w.hand[m.At.Seq]; {
		case h == nil:
			strange = append(strange, m)
		case h.move != nil && !m.Known:
			moves = append(moves, h.move)
		}
	}
	inherited, err := w.inherited(ctx, strange)
	if err != nil {
		return err
	}
	moves = append(moves, inherited...)
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
