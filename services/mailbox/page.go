package mailbox

import (
	"context"

	"github.com/nats-io/nats.go"
)

// What a page has at most, in bytes about.
const (
	pageMessages = 4096
	pageBytes    = 4 << 20
)

// page is what a replica has of the stream that matches filter, from a position up.
func (s calls) page(ctx context.Context, nc *nats.Conn, filter string, from uint64) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	page, _, err := s.Page(ctx, nc, filter, from, pageMessages, pageBytes)
	return page, err
}

// pages visits every message of the stream that matches filter, up to a position that
// its leader has, in the stream's order. A replica that is behind is asked again.
func (s calls) pages(ctx context.Context, nc *nats.Conn, filter string, upTo uint64, visit func(message) error) error {
	for from := uint64(1); from <= upTo; {
		page, err := s.page(ctx, nc, filter, from)
		if err != nil {
			return err
		}
		for _, m := range page {
			if err := visit(m); err != nil {
				return err
			}
			from = m.Seq + 1
		}
		if len(page) == 0 {
			// Either there is nothing more, or the replica does not have it yet.
			if _, more, err := s.First(ctx, filter, from); err != nil || !more {
				return err
			}
			if err := sleep(ctx, staleWait); err != nil {
				return err
			}
		}
	}
	return nil
}
