package gateway

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
)

// A page of the log that is read at once.
const (
	pageMessages = 256
	pageBytes    = 512 << 10
)

// logReads reads EVENTS for everybody in this gateway, a bounded number of pages
// at a time, so that thousands who resume at once queue here and not in NATS.
type logReads struct {
	*eventlog.Reader
	slots chan struct{}
}

func newLogReads(nc *nats.Conn, atOnce int) *logReads {
	return &logReads{eventlog.NewReader(nc), make(chan struct{}, atOnce)}
}

// retryFor is how long a read is tried again while the log does not answer, as
// while its leader moves to another server.
const retryFor = 15 * time.Second

// page is Reader.Page once it is this reader's turn.
func (l *logReads) page(ctx context.Context, filter string, from uint64) (msgs []eventlog.Message, end bool, err error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	err = persist(ctx, func() error {
		msgs, end, err = l.Page(ctx, filter, from, pageMessages, pageBytes)
		return err
	})
	return msgs, end, err
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
func (l *logReads) through(ctx context.Context, filter string, after, upto uint64, f func(eventlog.Message) error) error {
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
					msgs = append(msgs, m)
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
