package mailbox

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/stream"
)

// counter counts what a replica asks NATS.
type counter struct {
	stream.Caller
	n atomic.Int64
}

func (c *counter) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	c.n.Add(1)
	return c.Caller.Request(ctx, m)
}

// TestMB11CycleAsksLittle: a cycle is five requests, those that it cannot do
// without: the document and the first copy, two changes of the document, a delete.
func TestMB11CycleAsksLittle(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		c := &counter{Caller: ask(w.nats.Bus().NC)}
		r := w.startOn(w.nats.Bus(), func(s *Service) { s.copies.Caller, s.states.Caller = c, c })
		p := r.partner("anna", "crm").subscribe("invoices")
		large := fmt.Sprintf("%q", strings.Repeat("x", maxNamed))
		for _, data := range []string{"1", "2", "3", large} {
			r.publish("evt.AA.invoices.created", data)
		}
		p.await(4)
		for i, want := range []int64{5, 5, 5, 6} { // a large one is read again
			before := c.n.Load()
			_, confirm := p.next()
			p.must("Confirm", confirm)
			if n := c.n.Load() - before; n != want {
				t.Errorf("cycle %d asked %d times, not %d", i, n, want)
			}
		}
	})
}

// TestMB3NamedElsewhereGone: what a replica has named is not received there after
// another one, or an erasure, has taken it out.
func TestMB3NamedElsewhereGone(t *testing.T) { //nolint:paralleltest // a bubble
	for name, c := range map[string]struct {
		do     func(t *testing.T, elsewhere *partner, id string)
		status int
		code   string
	}{
		"locked": {func(_ *testing.T, elsewhere *partner, id string) {
			elsewhere.must("Receive", fields{"messageId": id})
		}, 409, "message_locked"},
		"confirmed": {func(_ *testing.T, elsewhere *partner, id string) {
			lock := elsewhere.must("Receive", fields{"messageId": id}).text("lockId")
			elsewhere.must("Confirm", fields{"messageId": id, "lockId": lock})
		}, 404, "message_unknown"},
		"unsubscribed": {func(_ *testing.T, elsewhere *partner, _ string) {
			elsewhere.must("Unsubscribe", fields{"compCode": "AA", "topic": "invoices"})
		}, 404, "message_unknown"},
		"erased": {func(t *testing.T, elsewhere *partner, _ string) {
			if _, err := Erase(t.Context(), elsewhere.nats.Bus().NC, EraseOptions{Tenant: "AA", User: "jan"}); err != nil {
				t.Fatal(err)
			}
		}, 404, "message_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				r := w.start()
				p := r.partner("anna", "crm").subscribe("invoices")
				elsewhere := p.at(w.start())
				r.publish("evt.AA.invoices.created", `{"specversion":"1.0","id":"1","source":"/x","type":"invoices.created","recipient":"jan"}`)
				p.await(1)
				id := p.must("Peek", nil).text("nextMessageId")
				c.do(t, elsewhere, id)
				p.refused("Receive", fields{"messageId": id}, c.status, c.code)
			})
		})
	}
}
