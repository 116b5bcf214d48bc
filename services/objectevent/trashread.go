package objectevent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
)

// lookout knows where objects are that a worker is about to be asked about: it reads
// the records of many at once. Nobody else moves objects of the worker's partition, so
// what was read holds until the worker itself moves one.
//
// Any replica may answer, and one may be behind. So with them it is asked for a record
// that is known to be there, and what it says counts only if it has come that far.
// Where that cannot be seen, the leader is asked, about each.
type lookout struct {
	trash   *trash
	records map[string]trashRecord

	newest  uint64 // everything that was written before us is at or below it
	under   string // the record that has this sequence, "" = there was none
	charted bool   // newest is known
}

func newLookout(t *trash) *lookout { return &lookout{trash: t, records: map[string]trashRecord{}} }

// at is the record under a subject. Code unavailable.
func (l *lookout) at(ctx context.Context, where string) (trashRecord, error) {
	if r, ok := l.records[where]; ok {
		return r, nil
	}
	r, _, err := l.trash.read(ctx, where)
	if err == nil {
		l.keep(where, r)
	}
	return r, err
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

// forget is for an object that nobody asks about any more, or that was moved.
func (l *lookout) forget(where string) { delete(l.records, where) }

// Bounds of one request: the server gives 1,024 answers at most, and takes a megabyte.
const (
	maxLookAhead      = 512
	maxLookAheadBytes = 256 << 10
)

// ahead reads the records under many subjects. What it cannot learn, at will ask for.
// Code unavailable.
func (l *lookout) ahead(ctx context.Context, wheres []string) error {
	if !l.charted {
		r, under, err := l.trash.read(ctx, subject.TrashRecords)
		if err != nil {
			return err
		}
		l.newest, l.under, l.charted = r.revision, under, true
	}
	for len(wheres) > 0 {
		n, bytes := 0, 0
		for n < len(wheres) && n < maxLookAhead && (n == 0 || bytes+len(wheres[n]) < maxLookAheadBytes) {
			bytes += len(wheres[n])
			n++
		}
		if err := l.some(ctx, wheres[:n]); err != nil {
			return err
		}
		wheres = wheres[n:]
	}
	return nil
}

func (l *lookout) some(ctx context.Context, wheres []string) error {
	asked := wheres
	if l.newest > 0 {
		asked = append(append(make([]string, 0, len(wheres)+1), wheres...), l.under)
	}
	found, upTo, err := l.trash.page(ctx, asked)
	switch {
	case errors.Is(err, nats.ErrNoResponders): // the stream does not allow it, yet
		return nil
	case err != nil:
		return err
	case upTo < l.newest: // it is behind; or the record has ended, and another must do
		l.charted = false
		return nil
	}
	for _, where := range wheres {
		if _, ok := l.records[where]; !ok {
			l.keep(where, found[where])
		}
	}
	return nil
}

// page reads the newest records under many subjects, from any replica, and up to which
// sequence of TRASH it had them; 0 = it found none. Code unavailable.
func (t *trash) page(ctx context.Context, subjs []string) (found map[string]trashRecord, upTo uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]any{"multi_last": subjs})
	if err != nil {
		return nil, 0, fmt.Errorf("ask the trash: %w", err)
	}
	sub, err := t.nc.SubscribeSync(t.nc.NewRespInbox())
	if err != nil {
		return nil, 0, storeDown(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // nothing follows from it
	if err := t.nc.PublishRequest("$JS.API.DIRECT.GET."+Trash, sub.Subject, request); err != nil {
		return nil, 0, storeDown(err)
	}
	found = map[string]trashRecord{}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, storeDown(err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			where := event.Last(m.Header, "Nats-Subject")
			seq, err := strconv.ParseUint(event.Last(m.Header, "Nats-Sequence"), 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("read the record under %s: %w", where, err)
			}
			if found[where], err = parseTrash(where, m.Data, seq); err != nil {
				return nil, 0, err
			}
		case "204": // the end
			upTo, err = strconv.ParseUint(m.Header.Get("Nats-UpTo-Sequence"), 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("read the end of the trash's answer: %w", err)
			}
			return found, upTo, nil
		case "404": // none
			return found, 0, nil
		case "503":
			return nil, 0, nats.ErrNoResponders
		default:
			return nil, 0, storeDown(fmt.Errorf("the trash answered %s %s", status, m.Header.Get("Description")))
		}
	}
}
