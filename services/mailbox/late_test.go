package mailbox

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/stream"
)

// late keeps one write of a document back, as a server does that stands still: its caller
// is told nothing, and it is done before the next write.
type late struct {
	stream.Caller
	mu   sync.Mutex
	next bool // the next one is kept back
	kept *nats.Msg
}

func (l *late) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(m.Subject, "$KV.") {
		if l.next {
			l.next, l.kept = false, m
			return nil, context.DeadlineExceeded
		}
		if kept := l.kept; kept != nil {
			l.kept = nil
			_, _ = l.Caller.Request(ctx, kept) // its caller has left
		}
	}
	return l.Caller.Request(ctx, m)
}

// keepBack keeps the next write back.
func (l *late) keepBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = true
}

// TestMB5RefusedIsRefused: a Confirm has no answer, and its lock runs out before it is
// repeated. It may still be on its way; so whoever is told that the lock is lost finds the
// message again, and whose Confirm comes through after all is told that it has.
func TestMB5RefusedIsRefused(t *testing.T) { //nolint:paralleltest // a bubble
	for call, confirm := range map[string]func(p *partner, c fields) string{
		"one": func(p *partner, c fields) string {
			_, answer := p.call("Confirm", c)
			return answer.text("code")
		},
		"a batch": func(p *partner, c fields) string {
			results := p.must("ConfirmBatch", fields{"items": []fields{c}})["results"].([]any)
			return fields(results[0].(map[string]any)).text("code")
		},
	} {
		bubble(t, func(t *testing.T, w *world) {
			l := &late{}
			r := w.startOn(w.nats.Bus(), func(s *Service) { l.Caller, s.states.Caller = s.states.Caller, l })
			p := r.partner("anna", "crm").subscribe("invoices")
			r.publish("evt.AA.invoices.created", `1`)
			id := p.must("Peek", nil).text("nextMessageId")
			lock := p.must("Receive", fields{"messageId": id, "lockTimeout": 5}).text("lockId")
			l.keepBack()
			p.refused("Confirm", fields{"messageId": id, "lockId": lock}, 503, "unavailable")
			pass(6 * time.Second)
			if code := confirm(p, fields{"messageId": id, "lockId": lock}); code != "" {
				t.Errorf("%s: %s, and then it is confirmed", call, code)
			}
			p.refused("Receive", fields{"messageId": id}, 404, "message_unknown")
		})
	}
}
