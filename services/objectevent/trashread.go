package objectevent

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
)

// lookout knows where objects are that a worker is about to be asked about: it reads
// the records of many at once. Nobody else moves objects of the worker's partition, so
// what was read holds until the worker itself moves one.
//
// What follows from an operation hangs on it, so it must not be old. Any replica may
// answer, and one may be behind; also one that was the leader and does not know yet that
// it is not. So the worker writes a record of its own first, which takes a majority, and
// believes only what has come as far as that, and as far as its own moves since.
type lookout struct {
	trash   *trash
	fence   string // where its own record is
	records map[string]trashRecord

	newest uint64 // what has come that far has all; 0 = not written yet
	under  string // where the record with that sequence is
}

func newLookout(t *trash, partition int) *lookout {
	return &lookout{trash: t, fence: subject.TrashFence(partition), records: map[string]trashRecord{}}
}

// at is the record under a subject. Code unavailable.
func (l *lookout) at(ctx context.Context, where string) (r trashRecord, err error) {
	if r, ok := l.records[where]; ok {
		return r, nil
	}
	if err := l.ahead(ctx, []string{where}); err != nil {
		return r, err
	}
	r, ok := l.records[where]
	if !ok {
		return r, stream.Behind(Trash)
	}
	return r, nil
}

// has says whether there is any record under a filter. Code unavailable.
func (l *lookout) has(ctx context.Context, filter string) (bool, error) {
	found, upTo, err := l.ask(ctx, []string{filter})
	some := false
	for where := range found {
		some = some || subject.Match(filter, where) // and not the one that shows how far it has come
	}
	switch {
	case errors.Is(err, stream.ErrTooMany):
		return true, nil
	case errors.Is(err, nats.ErrNoResponders):
		_, ok, err := storedIn(l.trash.nc, Trash).Last(ctx, filter)
		return ok, err
	case err != nil:
		return false, err
	case !some && upTo < l.newest:
		l.newest = 0
		return false, stream.Behind(Trash)
	}
	return some, nil
}

// maxLookout is how many records are kept: as many as a worker has in hand, and some
// of operations that are none.
const maxLookout = 4096

func (l *lookout) keep(where string, r trashRecord) {
	if len(l.records) >= maxLookout {
		clear(l.records)
	}
	l.records[where] = r
}

// moved is told of a move that is written.
func (l *lookout) moved(where string, seq uint64) {
	delete(l.records, where)
	if seq > l.newest {
		l.newest, l.under = seq, where
	}
}

// forget is for an object that nobody asks about any more.
func (l *lookout) forget(where string) { delete(l.records, where) }

// Bounds of one request: the server gives 1,024 answers at most, and takes a megabyte.
const (
	maxLookAhead      = 512
	maxLookAheadBytes = 256 << 10
	lookTries         = 3 // each may be another replica
)

// bite is how many of some subjects one request takes.
func bite(subjs []string) (n int) {
	bytes := 0
	for n < len(subjs) && n < maxLookAhead && (n == 0 || bytes+len(subjs[n]) < maxLookAheadBytes) {
		bytes += len(subjs[n])
		n++
	}
	return n
}

// ahead reads the records under many subjects. What nobody who has everything has
// told, is not known afterwards. Code unavailable.
func (l *lookout) ahead(ctx context.Context, wheres []string) error {
	for len(wheres) > 0 {
		n := bite(wheres)
		for try := 1; ; try++ {
			found, upTo, err := l.ask(ctx, wheres[:n])
			if errors.Is(err, nats.ErrNoResponders) {
				found, err = l.trash.each(ctx, wheres[:n])
				upTo = l.newest
			}
			if err != nil {
				return err
			}
			if upTo >= l.newest {
				l.learn(wheres[:n], found)
				break
			}
			if try == lookTries {
				l.newest = 0 // or the record that shows it has ended
				return nil
			}
		}
		wheres = wheres[n:]
	}
	return nil
}

func (l *lookout) learn(wheres []string, found map[string]trashRecord) {
	for _, where := range wheres {
		if _, known := l.records[where]; !known {
			l.keep(where, found[where])
		}
	}
}

// ask asks about subjects, and for the record that shows how far the answer has come.
func (l *lookout) ask(ctx context.Context, subjs []string) (found map[string]trashRecord, upTo uint64, err error) {
	if l.newest == 0 {
		if l.newest, err = l.trash.mark(ctx, l.fence); err != nil {
			return nil, 0, err
		}
		l.under = l.fence
	}
	return l.trash.page(ctx, append(slices.Clone(subjs), l.under), l.fence)
}

// each reads records one by one, from the leader: a stream that an older program has
// made answers no questions about many.
func (t *trash) each(ctx context.Context, subjs []string) (found map[string]trashRecord, err error) {
	found = map[string]trashRecord{}
	for _, subj := range subjs {
		if found[subj], err = t.read(ctx, subj); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// mark writes a record that tells nothing but that it is there.
func (t *trash) mark(ctx context.Context, subj string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ack, err := t.js.Publish(ctx, subj, nil)
	if err != nil {
		return 0, trashDown(err)
	}
	return ack.Sequence, nil
}

// page reads the newest records under many subjects, from any replica, and up to which
// sequence of TRASH it had them; 0 = it found none. mark is the subject of one that tells
// nothing. Code unavailable; stream.ErrTooMany.
func (t *trash) page(ctx context.Context, subjs []string, mark string) (found map[string]trashRecord, upTo uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	all, upTo, err := storedIn(t.nc, Trash).Latest(ctx, t.nc, subjs)
	if err != nil {
		return nil, 0, err
	}
	found = map[string]trashRecord{}
	for subj, m := range all {
		if subj == mark {
			continue
		}
		if found[subj], err = parseTrash(m); err != nil {
			return nil, 0, err
		}
	}
	return found, upTo, nil
}
