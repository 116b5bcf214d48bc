package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// A page of the log that is read at once.
const (
	pageMessages = 256
	pageBytes    = 512 << 10
)

// logged is a message of the log. Several readers may share it.
type logged struct {
	eventlog.Message
	epoch string

	decode sync.Once
	d      *delivery
}

// delivery decodes the message, the first time.
func (m *logged) delivery() *delivery {
	m.decode.Do(func() {
		cursor := event.Cursor{Epoch: m.epoch, Seq: m.Seq}
		ev := event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: cursor, Time: m.Time})
		m.d = newDelivery(subject.TenantToken(m.Subject), &ev, cursor, trace.SpanContext{})
		m.d.born = m.Time.UnixNano()
	})
	return m.d
}

// logReads reads EVENTS for everybody in this gateway, a bounded number of pages
// at a time, so that thousands who resume at once queue here and not in NATS. Who
// wants the page that somebody is reading gets the same one.
type logReads struct {
	*eventlog.Reader
	slots chan struct{}
	epoch func() string // of the log
	pages prometheus.Counter

	mu      sync.Mutex
	reading map[pageKey]*reading

	asks, asksNext *asking // questions for the log's state
}

// pageKey is where a page begins, and which messages are in it.
type pageKey struct {
	filter string
	from   uint64
}

// reading is a page that somebody reads. The other members are set when done
// closes.
type reading struct {
	done chan struct{}
	msgs []*logged
	end  bool
	err  error
}

func newLogReads(nc *nats.Conn, atOnce int, epoch func() string, stats *metrics) *logReads {
	l := &logReads{
		Reader: eventlog.NewReader(nc), slots: make(chan struct{}, atOnce), epoch: epoch,
		pages: stats.pages, reading: map[pageKey]*reading{},
	}
	stats.reads(func() float64 { return float64(len(l.slots)) })
	return l
}

// retryFor is how long a read is tried again while the log does not answer, as
// while its leader moves to another server.
const retryFor = 15 * time.Second

// page is Reader.Page once it is this reader's turn, or that of another who reads
// the same.
func (l *logReads) page(ctx context.Context, filter string, from uint64) (msgs []*logged, end bool, err error) {
	k := pageKey{filter, from}
	for {
		l.mu.Lock()
		r, shared := l.reading[k]
		if !shared {
			r = &reading{done: make(chan struct{})}
			l.reading[k] = r
		}
		l.mu.Unlock()
		if !shared {
			r.msgs, r.end, r.err = l.read(ctx, k)
			l.mu.Lock()
			delete(l.reading, k)
			l.mu.Unlock()
			close(r.done)
			return r.msgs, r.end, r.err
		}
		select {
		case <-r.done:
			if r.err == nil {
				return r.msgs, r.end, nil
			}
			// The other one may have left; this one tries for itself.
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
}

func (l *logReads) read(ctx context.Context, k pageKey) (page []*logged, end bool, err error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	epoch := l.epoch()
	var msgs []eventlog.Message
	err = persist(ctx, func() error {
		l.pages.Inc()
		msgs, end, err = l.Page(ctx, k.filter, k.from, pageMessages, pageBytes)
		return err
	})
	page = make([]*logged, len(msgs))
	for i, m := range msgs {
		page[i] = &logged{Message: m, epoch: epoch}
	}
	return page, end, err
}

// next is Reader.Next, tried as long as page is.
func (l *logReads) next(ctx context.Context, filter string, from uint64) (m eventlog.Message, ok bool, err error) {
	err = persist(ctx, func() error {
		m, ok, err = l.Next(ctx, filter, from)
		return err
	})
	return m, ok, err
}

// persist tries a read again while the log is unavailable.
func persist(ctx context.Context, read func() error) error {
	deadline := time.Now().Add(retryFor)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := read()
		if fault.CodeOf(err) != fault.Unavailable || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// through calls f, in order, with every message of filter above after and up to
// upto. Pages come from any replica; where one ends early, the leader says
// whether that was the end, so that nothing at the seam is missed.
func (l *logReads) through(ctx context.Context, filter string, after, upto uint64, f func(*logged) error) error {
	for after < upto {
		msgs, end, err := l.page(ctx, filter, after+1)
		if err != nil {
			return err
		}
		if end {
			next := after
			if len(msgs) > 0 {
				next = msgs[len(msgs)-1].Seq
			}
			if next < upto {
				m, ok, err := l.next(ctx, filter, next+1)
				if err != nil {
					return err
				}
				if ok {
					msgs = append(slices.Clip(msgs), &logged{Message: m, epoch: l.epoch()}) // the page is shared
				} else {
					upto = next
				}
			}
		}
		for _, m := range msgs {
			if m.Seq > upto {
				return nil
			}
			if err := f(m); err != nil {
				return err
			}
			after = m.Seq
		}
	}
	return nil
}
