package gateway

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr"
)

// hubWindow is a connection of the hub, seen from both sides: it is the sink of a
// connection, and the window of a signalr.Conn.
type hubWindow struct {
	s    *Service
	conn *signalr.Conn
	c    *connection

	mu sync.Mutex // taken while subscriptions or the principal change

	paid time.Time // when all messages so far will have been paid for at gateway.max_frame_rate
}

// hubBurst is how many seconds' worth of messages may come at once: a page that starts
// makes all of its calls together, a thousand by default.
const hubBurst = 10 * time.Second

// Pace implements signalr.Window. Clients are made to wait, not closed: they cannot
// know how fast they may be.
func (w *hubWindow) Pace(ctx context.Context) error {
	if w.s.config.MaxFrameRate == 0 {
		return nil
	}
	now := time.Now()
	if w.paid.Before(now) {
		w.paid = now
	}
	w.paid = w.paid.Add(time.Second / time.Duration(w.s.config.MaxFrameRate))
	if early := w.paid.Sub(now) - hubBurst; early > 0 {
		select {
		case <-time.After(early):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func hubItem(m signalr.Message) *item { return &item{body: m.Bytes, counted: m.Counted} }

// Push implements signalr.Window.
func (w *hubWindow) Push(ctx context.Context, m signalr.Message) error {
	return w.c.push(ctx, hubItem(m))
}

// Put implements signalr.Window.
func (w *hubWindow) Put(m signalr.Message) { w.c.answer(hubItem(m)) }

// Shut implements signalr.Window.
func (w *hubWindow) Shut(code fault.Code) { w.c.shut(code) }

// Leave implements signalr.Window.
func (w *hubWindow) Leave() { w.s.endConnection(w.c) }

// Renew implements signalr.Window. A token that lives longer takes the place of the
// one before. Subscriptions that it no longer grants cannot be ended one by one: there
// is no message for it, and a page that is not told shows what was true once. So the
// connection ends, with the reason, and may come back: whoever reconnects subscribes
// again, which is where each subscription is granted or refused.
func (w *hubWindow) Renew(p *auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.Expires.After(w.c.who().Expires) {
		return
	}
	kept, ended := w.s.regrant(w.c, p)
	if len(ended) > 0 {
		w.conn.End(lessGranted(ended))
		return
	}
	if err := w.s.renew(w.s.life, w.c, p, kept, ended); err != nil {
		w.conn.End(err)
	}
}

// lessGranted is the reason, of subscriptions that have ended the one that is first by name.
func lessGranted(ended map[filter]error) error {
	first := slices.MinFunc(slices.Collect(maps.Keys(ended)), func(a, b filter) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.resources, b.resources))
	})
	why := fault.From(ended[first])
	return fault.New(why.Code(), "the newer token does not allow the subscription to %s: %s", first.name, why.Error())
}

// batches are what write passes items on in.
var batches = sync.Pool{New: func() any { return new([]signalr.Message) }}

func batchOf(items []*item) *[]signalr.Message {
	p := batches.Get().(*[]signalr.Message) //nolint:errcheck,forcetypeassert // nothing else is ever put there
	for _, it := range items {
		*p = append(*p, signalr.Message{Bytes: it.body, Counted: it.counted, Expires: it.expires})
	}
	return p
}

func freeBatch(p *[]signalr.Message) {
	clear(*p)
	*p = (*p)[:0]
	batches.Put(p)
}

// write implements sink.
func (w *hubWindow) write(items []*item) error {
	p := batchOf(items)
	defer freeBatch(p)
	return w.conn.Write(*p)
}

// offer implements offering.
func (w *hubWindow) offer(items []*item) (finish func() error, err error) {
	p := batchOf(items)
	rest, err := w.conn.Offer(*p)
	if rest == nil {
		freeBatch(p)
		return nil, err
	}
	return func() error {
		defer freeBatch(p)
		return rest()
	}, nil
}

// goodbye implements sink.
func (w *hubWindow) goodbye(code fault.Code) { w.conn.Goodbye(code) }

// abort implements sink.
func (w *hubWindow) abort() { w.conn.Abort() }

// remote is whom the audit log names.
func (w *hubWindow) remote() net.Addr {
	addr, _ := netip.ParseAddrPort(w.conn.From()) // net/http's own
	return net.TCPAddrFromAddrPort(addr)
}
