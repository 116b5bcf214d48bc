package gateway

import (
	"math/bits"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
)

// protocol is how a connection wants its events written.
type protocol uint8

const (
	plain              protocol = iota // /v1/ws: one line of JSON per frame
	sse                                // /v1/sse: id and data lines
	signalrJSON                        // the hub: calls of OnEvent, in JSON
	signalrMessagePack                 // … and in MessagePack
	protos                             // how many there are
)

// item is something a connection will write: an event in the forms it asked
// for, or an answer to it. Items of events are shared by all connections of the
// same protocol and must not be changed.
type item struct {
	body     []byte
	raw      bool              // body is a whole WebSocket frame, not a line of text
	counted  int               // hub messages in body that a stateful client counts
	realtime bool              // never stored: dropped where a stored one would have the client resume
	born     int64             // unix nanoseconds at which it was stored, or sent; 0 = an answer
	expires  int64             // unix nanoseconds after which it is not delivered (SR4); 0 = never
	span     trace.SpanContext // of the trace that published it; invalid = not traced
	id       string            // event_id of traced items, for the span
}

func (it *item) expired(now time.Time) bool {
	return it.expires != 0 && now.UnixNano() >= it.expires
}

// forms is the set of forms of one event that a connection asked for: bit 0 is
// the event as stored, bit i+1 the i-th view that the event has.
type forms uint32

const stored forms = 1

// delivery is one durable event on its way to connections: it knows the views
// the event has and encodes every form at most once per protocol (DESIGN: encode
// once).
type delivery struct {
	ev     *event.Event
	tenant string // escaped
	cursor event.Cursor
	views  []event.View
	span   trace.SpanContext
	born   int64 // as item.born

	mu   sync.Mutex
	made [protos][]encoded
}

type encoded struct {
	forms forms
	item  *item
}

func newDelivery(tenant string, ev *event.Event, cursor event.Cursor, span trace.SpanContext) *delivery {
	d := &delivery{tenant: tenant, ev: ev, cursor: cursor, span: span}
	for _, v := range durableViews {
		if v.Has(ev) {
			d.views = append(d.views, v)
		}
	}
	return d
}

// durableViews are the rows of the views table that durable events may have.
var durableViews = slices.DeleteFunc(event.Views(), func(v event.View) bool { return v.Form != event.Durable })

// item is the delivery in some forms for one protocol.
func (d *delivery) item(p protocol, f forms) *item {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.made[p] {
		if e.forms == f {
			return e.item
		}
	}
	it := &item{body: d.encode(p, f), span: d.span, born: d.born, realtime: d.unstored()}
	if !d.ev.ExpiryTime.IsZero() {
		it.expires = d.ev.ExpiryTime.UnixNano()
	}
	if it.span.IsValid() {
		it.id = d.ev.ID
	}
	if p.hub() != nil {
		it.counted = bits.OnesCount32(uint32(f))
	}
	d.made[p] = append(d.made[p], encoded{f, it})
	return it
}

// encode writes all forms in f, one after the other. They stay in one item, and
// an item in one WebSocket message, so that a cut connection has either all
// forms of a cursor or none.
func (d *delivery) encode(p protocol, f forms) []byte {
	cursor := d.cursor.String()
	b := make([]byte, 0, len(d.ev.Data)+512)
	left, part := f, 0
	for i := range len(d.views) + 1 {
		bit := forms(1) << i
		if left&bit == 0 {
			continue
		}
		left &^= bit
		part++
		switch p {
		case plain:
			if d.unstored() {
				b = append(b, `{"event":`...)
			} else {
				b = append(b, `{"cursor":"`...)
				b = append(b, cursor...)
				b = append(b, `","event":`...)
			}
			b = d.appendForm(b, i)
			b = append(b, "}\n"...)
		case sse:
			if !d.unstored() { // without an id, a browser goes on with the one it has
				b = append(b, "id: "...)
				b = append(b, cursor...)
				if left != 0 { // a browser that is cut here resumes behind the forms it has
					b = append(b, '+', byte('0'+part/10), byte('0'+part%10))
				}
				b = append(b, '\n')
			}
			b = append(b, "data: "...)
			b = d.appendForm(b, i)
			b = append(b, "\n\n"...)
		case signalrJSON, signalrMessagePack: // which subscribe to views only
			b = d.appendNotification(b, p, d.views[i-1])
		}
	}
	return b
}

func (d *delivery) appendForm(b []byte, i int) []byte {
	if i == 0 {
		return d.ev.AppendJSON(b)
	}
	b, _ = d.views[i-1].AppendJSON(b, d.ev) // who made the delivery saw that it has this view
	return b
}

// without drops the first n forms of f: what an SSE client already has.
func (f forms) without(n int) forms {
	for ; n > 0 && f != 0; n-- {
		f &= f - 1
	}
	return f
}
