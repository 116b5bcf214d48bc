package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// heir is an operation that the worker before has relayed, and perhaps not moved its
// object.
type heir struct {
	*operation
	at      event.Cursor
	receipt string // where it is, if there is one
	where   string // the object's record in TRASH
}

// inherited are the moves that the receipts of operations tell of, and that are not
// written yet. Code unavailable.
func (w *worker) inherited(ctx context.Context, ms []relay.Message) (moves []*trashMove, err error) {
	var heirs []heir
	var receipts, wheres []string
	for _, m := range ms {
		h, ok, err := w.heir(ctx, m)
		if err != nil {
			return nil, err
		}
		if ok {
			heirs, receipts, wheres = append(heirs, h), append(receipts, h.receipt), append(wheres, h.where)
		}
	}
	if len(heirs) == 0 {
		return nil, nil
	}
	told, err := w.receipts(ctx, receipts, heirs[len(heirs)-1].at)
	if err == nil {
		err = w.lookout.ahead(ctx, wheres)
	}
	if err != nil {
		return nil, err
	}
	for _, h := range heirs {
		r, ok := told[h.receipt]
		if !ok || r.Moved == "" || r.At != h.at.String() {
			continue // it was refused, moved nothing, or was reported before
		}
		over, err := w.lookout.at(ctx, h.where)
		if err != nil {
			return nil, err
		}
		if over.covers(h.at) {
			continue
		}
		w.trashy[topicKey(h.Tenant, h.Topic)] = true
		moves = append(moves, h.move(h.where, over, h.at, r.Moved))
	}
	return moves, nil
}

// heir reads an operation of the worker before; false if it cannot have moved anything.
func (w *worker) heir(ctx context.Context, m relay.Message) (h heir, ok bool, err error) {
	o, refused := readOperation(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored})
	if refused != nil || !knownOperations[o.name].moves {
		return h, false, nil
	}
	if o.name != opTrash {
		if has, err := w.hasTrash(ctx, o.Tenant, o.Topic); err != nil || !has {
			return h, false, err
		}
	}
	h = heir{operation: &o, at: m.At}
	if h.receipt, refused = subject.OperationRecord(o.Tenant, o.ID); refused == nil {
		h.where, refused = subject.Trash(o.Tenant, o.Topic, o.Subject)
	}
	return h, refused == nil, nil
}

// receipts reads the receipts under some subjects, of operations up to a position. That
// there is none counts only together with a cursor of the relay beyond it, which was
// stored in one batch with the receipts: any replica may answer, and one that is behind,
// or was the leader and does not know yet that it is not, has neither. Code unavailable.
func (w *worker) receipts(ctx context.Context, subjs []string, upTo event.Cursor) (map[string]receipt, error) {
	told := make(map[string]receipt, len(subjs))
	for len(subjs) > 0 {
		n := bite(subjs)
		for try := 1; ; try++ {
			all, err := w.receiptsOf(ctx, subjs[:n], upTo, told)
			if err != nil {
				return nil, err
			}
			if all {
				break
			}
			if try == lookTries {
				return nil, stream.Behind(topology.Events)
			}
		}
		subjs = subjs[n:]
	}
	return told, nil
}

// receiptsOf asks once; all is false if somebody who is behind has answered.
func (w *worker) receiptsOf(ctx context.Context, subjs []string, upTo event.Cursor, told map[string]receipt) (all bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	cursor := subject.RelayCursor(w.name)
	found, _, err := storedIn(w.bus.NC, topology.Events).Latest(ctx, w.bus.NC, append([]string{cursor}, subjs...))
	if err != nil {
		return false, err
	}
	all = true
	for _, subj := range subjs {
		m, ok := found[subj]
		if !ok {
			all = false
			continue
		}
		var r receipt
		if err := json.Unmarshal(m.Data, &r); err != nil {
			return false, fmt.Errorf("read the record under %s: %w", subj, err)
		}
		told[subj] = r
	}
	if c, ok := found[cursor]; ok && !all {
		at, err := relay.Told(c.Data)
		if err != nil {
			return false, err
		}
		all = at.Epoch == upTo.Epoch && at.Seq >= upTo.Seq
	}
	return all, nil
}
