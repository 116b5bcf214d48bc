package gateway

import (
	"context"
	"runtime"
	"slices"
)

// writers write to connections for the feed, which therefore never waits for a
// client and seldom for a system call:
//
//	feed ──▶ ready ──┬── few, and nothing else to do: it writes them itself
//	                 └── many: the writers, one for each processor; and itself, when
//	                     they are behind, so that what comes next collects in queues
//	                     and shares a write
//
// A goroutine for each write would cost as much again as the write.
type writers struct {
	work  chan []*connection
	count int

	ready   []*connection // the feed goroutine's
	waiting int           // events since something was written
}

const (
	// writersPart is how many connections a writer takes at once.
	writersPart = 64
	// writersFew is how many the feed writes itself.
	writersFew = 16
	// writersHold is how many events the feed routes at most before it has them
	// written, however many more wait.
	writersHold = 32
)

func newWriters() *writers {
	n := runtime.GOMAXPROCS(0)
	return &writers{work: make(chan []*connection, n), count: n}
}

// run is one writer.
func (w *writers) run(ctx context.Context) {
	for {
		select {
		case part := <-w.work:
			for _, c := range part {
				c.flush(false)
			}
		case <-ctx.Done():
			return
		}
	}
}

// flush has everything written that is ready. Only the feed calls it.
func (w *writers) flush() {
	w.waiting = 0
	rest := w.ready
	for len(rest) > writersFew {
		n := min(len(rest), writersPart)
		part := slices.Clone(rest[:n])
		select {
		case w.work <- part:
		default:
			for _, c := range part {
				c.flush(false)
			}
		}
		rest = rest[n:]
	}
	for _, c := range rest {
		c.flush(false)
	}
	clear(w.ready)
	w.ready = w.ready[:0]
}

// routed says that one event has been put into queues.
func (w *writers) routed() {
	if w.waiting++; w.waiting >= writersHold {
		w.flush()
	}
}
