package gateway

import (
	"context"
	"runtime"
	"slices"
)

// writers write to connections for those that feed them, which therefore never wait
// for a client:
//
//	feed, signals ──▶ outgoing ──┬── few: it writes them itself
//	                             └── many: the writers, one for each processor; and
//	                                 itself, when they are behind, so that what comes
//	                                 next collects in queues and shares a write
//
// A goroutine for each write would cost as much again as the write.
type writers struct {
	work  chan []*connection
	count int
}

// outgoing are the connections that one feeding goroutine has put events into the
// queues of, and that it must have written.
type outgoing struct {
	writers *writers
	ready   []*connection
	routed  int // events since something was written
}

const (
	// writersPart is how many connections a writer takes at once.
	writersPart = 64
	// writersFew is how many who feeds writes himself.
	writersFew = 16
	// writersHold is how many events are routed at most before they are
	// written, however many more wait.
	writersHold = 32
)

func newWriters() *writers {
	n := runtime.GOMAXPROCS(0)
	return &writers{work: make(chan []*connection, n), count: n}
}

// run is one writer. Every connection has its turn: one that always has more to
// write, because its client reads as fast as events come, delays nobody.
func (w *writers) run(ctx context.Context) {
	var turn []*connection
	for {
		if len(turn) == 0 {
			select {
			case turn = <-w.work:
			case <-ctx.Done():
				return
			}
		}
		turn = slices.DeleteFunc(turn, func(c *connection) bool { return !c.round() })
		select {
		case part := <-w.work:
			turn = append(turn, part...)
		case <-ctx.Done():
			return
		default:
		}
	}
}

// deliver puts an item into a connection's queue.
func (o *outgoing) deliver(c *connection, it *item) {
	if c.enqueue(it) {
		o.ready = append(o.ready, c)
	}
}

// next says that one event has been put into all queues that it belongs in, and
// whether more events wait: then those share a write.
func (o *outgoing) next(more bool) {
	if o.routed++; !more || o.routed >= writersHold {
		o.flush()
	}
}

// flush has everything written.
func (o *outgoing) flush() {
	o.routed = 0
	rest := o.ready
	for len(rest) > writersFew {
		n := min(len(rest), writersPart)
		part := slices.Clone(rest[:n])
		select {
		case o.writers.work <- part:
		default:
			write(part)
		}
		rest = rest[n:]
	}
	write(rest)
	clear(o.ready)
	o.ready = o.ready[:0]
}

// write writes to each once; who gets more meanwhile gets a goroutine of its own.
func write(part []*connection) {
	for _, c := range part {
		if c.round() {
			go c.flush()
		}
	}
}
