package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// batchBytes is about how much one write to a socket carries at most. Several
// waiting events share a write: under load that, not encoding, is the cost.
const batchBytes = 64 << 10

// sink is the wire of one connection. The queue calls it from one goroutine at a
// time.
type sink interface {
	// write sends the items in order, within the write timeout.
	write(items []*item) error
	// goodbye says why the connection ends, best effort, and ends it.
	goodbye(code fault.Code)
	// abort ends it without a word, and unblocks whoever reads from it.
	abort()
}

// connection is one open window: who it is, what it asked for, and the events
// that wait to be written to it. Nothing runs for a connection that is idle but
// the goroutine that reads from it.
//
//	deliver ──▶ queue ──▶ flush ──▶ sink          normal
//	deliver ──▶ held      catch-up ──▶ queue ──▶ flush ──▶ sink    while it resumes
type connection struct {
	id        string
	proto     protocol
	principal *auth.Principal
	out       sink
	limit     int // bytes the queue may hold
	stats     *metrics
	trace     trace.Tracer
	expires   int64        // unix seconds at which its token has had its time
	alive     atomic.Int64 // unix seconds of the last sign of life; websockets only

	mu      sync.Mutex
	queue   []*item
	waiting int  // bytes in queue, and in the batch that is being written
	writing bool // a flush goroutine exists
	closing fault.Code
	dead    bool
	room    chan struct{} // closes when the queue has shrunk to a quarter, or the connection ends

	holding    bool // live items go to held until catch-up is done
	held       []*item
	heldBytes  int
	overflowed bool // held did not fit and was dropped: read the log once more

	// The hub's, under its lock.
	subs  map[filter][]*subscription
	pass  uint64
	forms forms
	slot  int // place on the ping wheel
}

// verdict is what becomes of one more item.
type verdict uint8

const (
	accept verdict = iota
	cut            // close and let the client resume
)

// policy is the one rule for connections that read too slowly (GW4): a durable
// event is never dropped from a queue; when the queue is full the connection is
// closed with slow_consumer, and the client resumes from its cursor. One item
// fits always, so that an event larger than the queue cannot close forever.
func policy(waiting, size, limit int) verdict {
	if waiting > 0 && waiting+size > limit {
		return cut
	}
	return accept
}

// deliver takes one live item, from the hub. It never blocks.
func (c *connection) deliver(it *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing != "" || c.dead:
	case c.holding:
		c.hold(it)
	case policy(c.waiting, len(it.body), c.limit) == cut:
		c.stats.cuts.Inc()
		c.queue, c.waiting = nil, 0 // the client resumes behind what it has read
		c.close(fault.SlowConsumer)
	default:
		c.put(it)
	}
}

// put appends to the queue and sees that somebody writes it. Under mu.
func (c *connection) put(it *item) {
	before := c.waiting
	c.queue = append(c.queue, it)
	c.waiting += len(it.body)
	if near := c.limit / 4 * 3; before < near && c.waiting >= near {
		c.stats.near.Inc() // moves before anybody is cut
	}
	c.wake()
}

func (c *connection) wake() {
	if !c.writing {
		c.writing = true
		go c.flush()
	}
}

// answer queues a ping, or a reply that must go before the next event. The
// queue's limit does not apply; there is at most one such reply at a time.
func (c *connection) answer(it *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == "" && !c.dead {
		c.put(it)
	}
}

// flush writes until nothing waits. It is the connection's only writer.
func (c *connection) flush() {
	var batch []*item
	for {
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		if len(batch) == 0 || c.dead {
			c.writing = false
			c.queue = nil // an idle connection keeps no memory for its queue
			closing := c.closing
			c.mu.Unlock()
			if closing != "" {
				c.out.goodbye(closing)
			}
			return
		}
		c.mu.Unlock()

		for rest := batch; len(rest) > 0; {
			n, size := 0, 0
			for n < len(rest) && (n == 0 || size+len(rest[n].body) <= batchBytes) {
				size += len(rest[n].body)
				n++
			}
			err := c.write(rest[:n])
			c.written(size, err)
			if err != nil {
				break
			}
			rest = rest[n:]
		}
		clear(batch)
	}
}

// write sends a batch, without what has expired while it waited (SR4): the hop
// "write".
func (c *connection) write(items []*item) error {
	var now time.Time
	var spans []trace.Span
	kept := items[:0]
	for _, it := range items {
		if it.expires != 0 {
			if now.IsZero() {
				now = time.Now()
			}
			if it.expired(now) {
				c.stats.expired.Inc()
				continue
			}
		}
		kept = append(kept, it)
		if it.span.IsValid() {
			_, span := c.trace.Start(trace.ContextWithSpanContext(context.Background(), it.span), "gateway.write",
				trace.WithAttributes(attribute.String(telemetry.KeyEventID, it.id), attribute.String(telemetry.KeyConnection, c.id)))
			spans = append(spans, span)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	err := c.out.write(kept)
	for _, span := range spans {
		span.End()
	}
	c.stats.frames.Add(float64(len(kept)))
	return err
}

// written accounts for one write.
func (c *connection) written(size int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dead, c.queue = true, nil
		c.out.abort()
	}
	c.waiting = max(c.waiting-size, 0)
	if c.dead || c.waiting <= c.limit/4 {
		c.makeRoom()
	}
}

// push queues what catch-up or an answer needs to send, waiting until there is
// room: a slow client slows its own catch-up down and nothing else.
func (c *connection) push(ctx context.Context, it *item) error {
	return c.when(ctx,
		func() bool { return policy(c.waiting, len(it.body), c.limit) == accept },
		func() { c.put(it) })
}

// settle waits until the queue is at most a quarter full, so that the connection
// goes live with half of its queue free.
func (c *connection) settle(ctx context.Context) error {
	return c.when(ctx, func() bool { return c.waiting <= c.limit/4 }, func() {})
}

// when waits, as the queue is written, until ready says yes, and then does it, all
// under mu.
func (c *connection) when(ctx context.Context, ready func() bool, do func()) error {
	for {
		c.mu.Lock()
		if c.dead || c.closing != "" {
			c.mu.Unlock()
			return errClosed
		}
		if ready() {
			do()
			c.mu.Unlock()
			return nil
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errClosed ends whatever was being sent to a connection that has ended.
var errClosed = fault.New(fault.Unavailable, "the connection is closed")

// hold keeps a live item back until catch-up has passed everything older. When
// held is full, at a quarter of what the queue may hold, it is dropped whole, and
// catch-up reads the log instead.
func (c *connection) hold(it *item) {
	if c.overflowed {
		return
	}
	if policy(c.heldBytes, len(it.body), c.limit/4) == cut {
		c.held, c.heldBytes, c.overflowed = nil, 0, true
		return
	}
	c.held = append(c.held, it)
	c.heldBytes += len(it.body)
}

// startHolding makes live items wait. The hub calls it under its lock, in the
// same step in which it begins to route to c.
func (c *connection) startHolding() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding, c.overflowed, c.held, c.heldBytes = true, false, nil, 0
}

// stopHolding passes on what was held and goes live. False: it did not all fit,
// and the log must be read once more.
func (c *connection) stopHolding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.overflowed {
		return false
	}
	for _, it := range c.held {
		if c.closing == "" && !c.dead {
			c.put(it)
		}
	}
	c.holding, c.held, c.heldBytes = false, nil, 0
	return true
}

// makeRoom wakes who waits for the queue to shrink. Under mu.
func (c *connection) makeRoom() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// shut ends the connection with a code after what waits has been written.
func (c *connection) shut(code fault.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(code)
}

func (c *connection) close(code fault.Code) {
	if c.closing == "" && !c.dead {
		c.closing = code
		c.makeRoom()
		c.wake()
	}
}

// isClosing says whether a goodbye is on its way.
func (c *connection) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != "" && !c.dead
}

// kill ends the connection at once; its reader returns.
func (c *connection) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.dead, c.queue, c.held = true, nil, nil
		c.makeRoom()
		c.out.abort()
	}
}
