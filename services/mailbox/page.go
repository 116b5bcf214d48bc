package mailbox

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	pageMessages = 4096
	pageBytes    = 4 << 20
)

// page is what a replica has of the stream that matches filter, from a position up:
// not more than pageMessages, and few more than pageBytes.
func (s stream) page(ctx context.Context, nc *nats.Conn, filter string, from uint64) (page []message, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, s.down(err)
	}
	defer func() { _ = sub.Unsubscribe() }()             // the answer may be cut short; there is nothing to do about it
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the request is bounded
		return nil, s.down(err)
	}
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q,"batch":%d,"max_bytes":%d}`, from, filter, pageMessages, pageBytes)
	if err := nc.PublishMsg(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + s.name, Reply: inbox, Data: request}); err != nil {
		return nil, s.down(err)
	}
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, s.down(err)
		}
		switch answer.Header.Get("Status") {
		case "":
		case "204", "404":
			return page, nil
		default:
			return nil, fault.New(fault.Unavailable, "%s answered %s", s.name, answer.Header.Get("Description"))
		}
		m, err := direct(answer)
		if err != nil {
			return nil, err
		}
		page = append(page, m)
	}
}

// pages visits every message of the stream that matches filter, up to a position that
// its leader has, in the stream's order. A replica that is behind is asked again.
func (s stream) pages(ctx context.Context, nc *nats.Conn, filter string, upTo uint64, visit func(message) error) error {
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
			if _, more, err := s.after(ctx, filter, from); err != nil || !more {
				return err
			}
			if err := sleep(ctx, staleWait); err != nil {
				return err
			}
		}
	}
	return nil
}
