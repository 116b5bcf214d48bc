package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

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
	principal *auth.Principal // changed by renew, in the reading goroutine and under the hub's lock and mu
	out       sink
	limit     int // bytes the queue may hold
	stats     *metrics
	trace     trace.Tracer
	alive     atomic.Int64 // unix seconds of the last sign of life; websockets only

	mu        sync.Mutex
	queue     []*item
	waiting   int  // bytes in queue, and in the batch that is being written
	droppable int  // bytes in queue of real-time items
	writing   bool // somebody writes, or is about to
	closing   fault.Code
	dead      bool
	room      chan struct{} // closes when the queue has shrunk to a quarter, or the connection ends

	behind     bool // it resumes, and is sent what it missed
	holding    bool // live items go to held until catch-up is done
	held       []*item
	heldBytes  int
	overflowed bool // held did not fit and was dropped: read the log once more

	// The hub's, under its lock.
	subs  []asked
	pass  uint64
	forms forms

	// The wheel's, under its lock.
	slot    int
	expires int64 // unix seconds at which its token has had its time
	warned  bool  // that it soon will have

	// The crowd's, under its lock; codes is set before it enters.
	codes   codeSet
	present bool
	persons []roster.Person
}

// deliver takes one live item, from the hub, and has it written. It never blocks.
func (c *connection) deliver(it *item) {
	if c.enqueue(it) {
		go c.flush()
	}
}

// enqueue is deliver for who writes himself: true says that he must flush c. A
// real-time item has no place in the log, so a catch-up does not hold it back.
func (c *connection) enqueue(it *item) (flush bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing != "" || c.dead:
	case c.holding && !it.realtime:
		c.hold(it)
	default:
		c.admit(it)
		return c.claim()
	}
	return false
}

// admit lets the policy decide what becomes of one more item. Under mu.
func (c *connection) admit(it *item) {
	switch policy(c.load(), len(it.body), it.realtime) {
	case accept:
		c.put(it)
	case makeRoom:
		c.dropOldest(len(it.body))
		c.put(it)
	case refuse:
		c.stats.drop(dropQueueFull, 1)
	case cut:
		c.stats.slow(c.principal)
		c.queue, c.waiting, c.droppable = nil, 0, 0 // the client resumes behind what it has read
		c.end(fault.SlowConsumer)
	}
}

// put appends to the queue. Under mu.
func (c *connection) put(it *item) {
	before := c.waiting
	c.queue = append(c.queue, it)
	c.waiting += len(it.body)
	if it.realtime {
		c.droppable += len(it.body)
	}
	if near := c.limit / 4 * 3; before < near && c.waiting >= near {
		c.stats.near.Inc() // moves before anybody is cut
	}
}

// claim makes the caller the connection's writer, if there is something to write
// and nobody writes. Under mu.
func (c *connection) claim() bool {
	if c.writing || len(c.queue) == 0 && c.closing == "" {
		return false
	}
	c.writing = true
	return true
}

// wake sees that somebody writes. Under mu.
func (c *connection) wake() {
	if c.claim() {
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
		c.wake()
	}
}

// push queues what catch-up or an answer needs to send, waiting until there is
// room: a slow client slows its own catch-up down and nothing else.
func (c *connection) push(ctx context.Context, it *item) error {
	return c.when(ctx,
		func() bool { return policy(c.load(), len(it.body), false) == accept },
		func() { c.put(it); c.wake() })
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

// roomMade wakes who waits for the queue to shrink. Under mu.
func (c *connection) roomMade() {
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
	if c.end(code) {
		c.wake()
	}
}

// end lets nothing more into the queue; whoever writes says goodbye. false: it has
// ended before. Under mu.
func (c *connection) end(code fault.Code) bool {
	if c.closing != "" || c.dead {
		return false
	}
	c.closing = code
	c.stats.closed.WithLabelValues(string(code)).Inc()
	c.roomMade()
	return true
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
		c.roomMade()
		c.out.abort()
	}
}
