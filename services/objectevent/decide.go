package objectevent

import (
	"context"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
)

// decide finds the row that counts and what follows from it.
func (w *worker) decide(ctx context.Context, m relay.Message, o *operation, h *hand) (relay.Effects, error) {
	where, err := subject.Trash(o.Tenant, o.Topic, o.Subject)
	if err != nil {
		return relay.Effects{}, err
	}
	h.where = where
	record, err := w.look(ctx, m, o, where)
	if err != nil {
		return relay.Effects{}, err
	}
	from := record.when(m.At)
	r, ok := o.under(from).find()
	if !ok {
		return relay.Effects{}, wrongOperation("topic", "there is no %s of %.64q", o.name, o.Topic)
	}
	if err := w.check(ctx, m, o, r, where, record); err != nil {
		return relay.Effects{}, err
	}
	if r.to == from {
		r.to = "" // it is there
	}
	e, err := o.effects(ctx, r, m.At, w.maxEvent)
	if err != nil {
		return relay.Effects{}, err
	}
	if r.to != "" {
		h.move = o.move(where, record, m.At, r.to)
		w.moving[where], w.trashy[topicKey(o.Tenant, o.Topic)] = m.At.Seq, true
	}
	w.note(o, r, where)
	h.outcome = outcomeRaised
	if len(r.raises) == 0 {
		h.outcome = outcomeNothing
	}
	return e, nil
}

// look reads where the object is, if it matters. A topic whose trash has never held
// anything is not asked about every object; only this worker could change that for
// the objects of its partition.
func (w *worker) look(ctx context.Context, m relay.Message, o *operation, where string) (trashRecord, error) {
	t := knownOperations[o.name]
	if !t.looks && !t.moves {
		return trashRecord{}, nil
	}
	if by, ok := w.moving[where]; ok && by != m.At.Seq {
		return trashRecord{}, errFirst
	}
	if o.name != opTrash {
		if has, err := w.hasTrash(ctx, o.Tenant, o.Topic); err != nil || !has {
			return trashRecord{}, err
		}
	}
	return w.lookout.at(ctx, where)
}

// hasTrash says whether the trash of a topic has ever held anything, and keeps the
// answer.
func (w *worker) hasTrash(ctx context.Context, tenant, topic string) (bool, error) {
	key := topicKey(tenant, topic)
	if has, ok := w.trashy[key]; ok {
		return has, nil
	}
	filter, err := subject.TopicTrash(tenant, topic)
	if err != nil {
		return false, err
	}
	has, err := w.lookout.has(ctx, filter)
	if err != nil {
		return false, err
	}
	if len(w.trashy) >= generation {
		clear(w.trashy)
	}
	w.trashy[key] = has
	return has, nil
}

func topicKey(tenant, topic string) string { return tenant + " " + subject.Fold(topic) }

// check holds the operation against what the row needs, what was asked before, and
// what came before.
func (w *worker) check(ctx context.Context, m relay.Message, o *operation, r rule, where string, record trashRecord) error {
	if r.refuse != "" {
		return fault.Field(r.refuse, "object", "%.64q of %.64q is %s", o.Subject, o.Topic, map[fault.Code]string{
			fault.InTrash: "in the trash already", fault.NotInTrash: "not in the trash",
		}[r.refuse])
	}
	if err := o.lacks(r.needs); err != nil {
		return err
	}
	if o.deletion != "" {
		if _, err := w.deletions.check(ctx, o.deletion, o.Tenant, o.Topic, o.Subject, o.mode(), m.Stored); err != nil {
			return err
		}
		if record.Asked == o.deletion && !record.covers(m.At) {
			return fault.Field(fault.DeletionExpired, "deletionId", "has allowed one deletion, and the object has come back since; ask again")
		}
	}
	if o.ObjectVersion == nil || knownOperations[o.name].first || record.At == m.At {
		return nil
	}
	last, ok := w.versions.last(where)
	// While an object is in the trash nothing else can have become of it; later its id
	// may be another object's.
	if v := record.Version; v != nil && record.when(m.At) == inTrash && (!ok || *v > last) {
		last, ok = *v, true
	}
	if ok && *o.ObjectVersion < last {
		return fault.Field(fault.VersionBackwards, "objectversion", "is %d, and %d came before", *o.ObjectVersion, last)
	}
	return nil
}

// note remembers the version that the object has now.
func (w *worker) note(o *operation, r rule, where string) {
	switch {
	case knownOperations[o.name].ends:
		w.versions.forget(where)
	case o.ObjectVersion != nil:
		w.versions.set(where, *o.ObjectVersion)
	case r.operation == opInsert:
		w.versions.forget(where)
	}
}

// known says whether the operation has had its events: the leader has its receipt.
func (w *worker) known(ctx context.Context, o *operation) (bool, error) {
	subj, err := subject.OperationRecord(o.Tenant, o.ID)
	if err != nil {
		return false, err
	}
	_, ok, err := w.events.Last(ctx, subj)
	return ok, err
}

// duplicate is what follows from an operation that was reported before: nothing.
func (w *worker) duplicate(h *hand, err error) (relay.Effects, error) {
	h.outcome = outcomeDuplicate
	return relay.Effects{}, err
}
