package gateway

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/eventlog"
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

// page is Reader.Page once it is this reader's turn.
func (l *logReads) page(ctx context.Context, filter string, from uint64, limit int) ([]eventlog.Message, bool, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	return l.Page(ctx, filter, from, limit, pageBytes)
}

// through calls f, in order, with every message of filter above after and up to
// upto. Pages come from any replica; where one ends early, the leader says
// whether that was the end, so that nothing at the seam is missed.
func (l *logReads) through(ctx context.Context, filter string, after, upto uint64, f func(eventlog.Message) error) error {
	for after < upto {
		msgs, end, err := l.page(ctx, filter, after+1, pageMessages)
		if err != nil {
			return err
		}
		if end {
			next := after
			if len(msgs) > 0 {
				next = msgs[len(msgs)-1].Seq
			}
			if next < upto {
				m, ok, err := l.Next(ctx, filter, next+1)
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
