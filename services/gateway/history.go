package gateway

import (
	"context"
	"errors"
	"maps"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Pages of ReadEvents.
const (
	defaultPage = 100
	maxPage     = 1000
	// scanPages bounds the work of one request whose filter matches little: it
	// answers what it has and where to go on.
	scanPages = 32
	pageSize  = 8 << 20 // bytes of events after which a page is full
)

// readPage reads the log after a cursor; "" = from its beginning.
func (s *Service) readPage(ctx context.Context, tenant, after string, limit int, want map[filter][]key) (*page, error) {
	state, err := s.log.State(ctx)
	if err != nil {
		return nil, err
	}
	cursor := event.Cursor{Epoch: state.Epoch, Seq: state.First - 1}
	if after != "" {
		if cursor, err = event.ParseCursor(after); err != nil {
			return nil, err
		}
		if err := s.checkWindow(ctx, cursor); err != nil {
			return nil, err
		}
	}
	token, err := subject.Escape("tenant", tenant)
	if err != nil {
		return nil, err
	}
	p := &page{limit: limit, keys: keySet(want), cursor: cursor}
	return p, s.readMatching(ctx, p, subject.TokenEvents(token), state.Last)
}

func keySet(want map[filter][]key) map[key]bool {
	set := map[key]bool{}
	for keys := range maps.Values(want) {
		for _, k := range keys {
			set[k] = true
		}
	}
	return set
}

// errFull ends reading when the page is full.
var errFull = errors.New("the page is full")

// readMatching fills a page with what matches, up to the log's end as the leader
// told it, so that whoever published before the call finds the event.
func (s *Service) readMatching(ctx context.Context, p *page, filter string, end uint64) error {
	err := s.log.through(ctx, filter, p.cursor.Seq, end, p.take)
	switch {
	case errors.Is(err, errFull):
		p.more = true
	case err != nil:
		return err
	default:
		p.cursor.Seq = max(p.cursor.Seq, end)
	}
	return nil
}

// page is one page of the log. cursor is where the next one begins, also when
// there is no more now.
type page struct {
	limit   int
	keys    map[key]bool
	events  []listed
	cursor  event.Cursor
	more    bool
	scanned int
	bytes   int
}

// listed is one event of a page, in one form.
type listed struct {
	cursor event.Cursor
	form   []byte
}

func (p *page) take(m *logged) error {
	if len(p.events) >= p.limit || p.bytes >= pageSize || p.scanned >= scanPages*pageMessages {
		return errFull
	}
	p.scanned++
	p.cursor.Seq = m.Seq
	d := m.delivery()
	f := d.wanted(d.tenant, p.keys)
	for i := range len(d.views) + 1 {
		if f&(stored<<i) != 0 {
			form := d.appendForm(nil, i)
			p.events = append(p.events, listed{p.cursor, form})
			p.bytes += len(form)
		}
	}
	return nil
}
