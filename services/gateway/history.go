package gateway

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Pages of GET /v1/events.
const (
	defaultPage = 100
	maxPage     = 1000
	// scanPages bounds the work of one request whose filter matches little: it
	// answers what it has and where to go on.
	scanPages = 32
	pageSize  = 8 << 20 // bytes of events after which a page is full
)

// listed is one event of a page.
type listed struct {
	Cursor string          `json:"cursor"`
	Event  json.RawMessage `json:"event"`
}

// page is the answer of GET /v1/events. Cursor is where the next page begins,
// also when there is no more now.
type page struct {
	Events []listed `json:"events"`
	Cursor string   `json:"cursor"`
	More   bool     `json:"more"`
}

// getEvents is GET /v1/events: the log after a cursor (absent: from its
// beginning), filtered as a subscription is.
func (s *Service) getEvents(w http.ResponseWriter, r *http.Request) {
	p, err := s.readPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, p)
}

func (s *Service) readPage(r *http.Request) (*page, error) {
	ctx, query := r.Context(), r.URL.Query()
	principal, err := s.authenticateHeader(r)
	if err != nil {
		return nil, err
	}
	tenant, err := principal.Tenant(query.Get("tenant"))
	if err != nil {
		return nil, err
	}
	query.Set("tenant", tenant)
	want, err := wanted(query, principal)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(query.Get("limit"))
	if err != nil {
		return nil, err
	}
	state, err := s.log.State(ctx)
	if err != nil {
		return nil, err
	}
	cursor := event.Cursor{Epoch: state.Epoch, Seq: state.First - 1}
	if after := query.Get("after"); after != "" {
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
	reader := &pageReader{limit: limit, keys: keySet(want), page: page{Events: []listed{}}, cursor: cursor}
	if err := s.readMatching(r, reader, subject.TokenEvents(token), state.Last); err != nil {
		return nil, err
	}
	return &reader.page, nil
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

func pageLimit(text string) (int, error) {
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, fault.Field(fault.InvalidRequest, "limit", "%q is not a number from 1 to %d", text, maxPage)
	}
	return n, nil
}

// errFull ends reading when the page is full.
var errFull = errors.New("the page is full")

// readMatching fills a page with what matches, up to the log's end as the leader
// told it, so that whoever published before the call finds the event.
func (s *Service) readMatching(r *http.Request, p *pageReader, filter string, end uint64) error {
	err := s.log.through(r.Context(), filter, p.cursor.Seq, end, p.take)
	switch {
	case errors.Is(err, errFull):
		p.page.More = true
	case err != nil:
		return err
	default:
		p.cursor.Seq = max(p.cursor.Seq, end)
	}
	p.page.Cursor = p.cursor.String()
	return nil
}

// pageReader collects one page.
type pageReader struct {
	limit   int
	keys    map[key]bool
	page    page
	cursor  event.Cursor
	scanned int
	bytes   int
}

func (p *pageReader) take(m eventlog.Message) error {
	if len(p.page.Events) >= p.limit || p.bytes >= pageSize || p.scanned >= scanPages*pageMessages {
		return errFull
	}
	p.scanned++
	p.cursor.Seq = m.Seq
	ev := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: p.cursor, Time: m.Time})
	d := newDelivery(&ev, p.cursor, trace.SpanContext{})
	f := d.wanted(subject.TenantToken(m.Subject), p.keys)
	for i := range len(d.views) + 1 {
		if f&(stored<<i) != 0 {
			form := d.appendForm(nil, i)
			p.page.Events = append(p.page.Events, listed{p.cursor.String(), form})
			p.bytes += len(form)
		}
	}
	return nil
}
