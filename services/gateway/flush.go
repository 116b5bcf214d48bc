package gateway

import (
	"context"
	"errors"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/telemetry"
)

// batchBytes is about how much one write to a socket carries at most. Several
// waiting events share a write: under load that, not encoding, is the cost.
const batchBytes = 64 << 10

// offering is a sink that can write without waiting for the client.
type offering interface {
	// offer writes what the socket takes at once. A finish that is not nil must be
	// called, by a goroutine that may wait, and writes the rest; nothing else is
	// written before it has returned.
	offer(items []*item) (finish func() error, err error)
}

// flush writes until nothing waits, and waits for the client. Whoever claimed the
// connection is its only writer.
func (c *connection) flush() {
	var batch []*item
	for {
		var behind bool
		if batch, behind = c.take(batch); batch == nil {
			return
		}
		c.writeAll(batch, behind, true)
		clear(batch)
	}
}

// round writes what waits now and does not wait for the client, so that one
// goroutine can serve many connections in turn. more says that there is more to
// write; where the client does not read, a goroutine of its own goes on instead.
func (c *connection) round() (more bool) {
	if _, offers := c.out.(offering); !offers {
		go c.flush()
		return false
	}
	batch, behind := c.take(nil)
	if batch == nil || !c.writeAll(batch, behind, false) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 || c.closing != "" || c.dead {
		return true
	}
	c.writing = false
	return false
}

// take takes what waits, and leaves the empty used for what comes next. nil: there
// is nothing, and nobody writes any more.
func (c *connection) take(used []*item) (batch []*item, behind bool) {
	c.mu.Lock()
	batch, c.queue, c.droppable = c.queue, used[:0], 0
	if len(batch) > 0 && !c.dead {
		defer c.mu.Unlock()
		return batch, c.behind
	}
	c.writing = false
	c.queue = nil // an idle connection keeps no memory for its queue
	closing := c.closing
	c.mu.Unlock()
	if closing != "" {
		go c.out.goodbye(closing) // which may have to wait for the client
	}
	return nil, false
}

// writeAll writes items in parts of about batchBytes. false: another goroutine goes
// on, to the end of the queue.
func (c *connection) writeAll(rest []*item, behind, wait bool) bool {
	for len(rest) > 0 {
		n, size := 0, 0
		for n < len(rest) && (n == 0 || size+len(rest[n].body) <= batchBytes) {
			size += len(rest[n].body)
			n++
		}
		finish, err := c.write(rest[:n], behind, wait)
		if finish != nil {
			go func() {
				err := finish()
				if c.written(size, err); err == nil {
					c.writeAll(rest[n:], behind, true)
				}
				c.flush()
			}()
			return false
		}
		if c.written(size, err); err != nil {
			return true
		}
		rest = rest[n:]
	}
	return true
}

// write sends a batch, without what has expired while it waited (SR4): the hop
// "write". finish is as of offering, and nil with wait.
func (c *connection) write(items []*item, behind, wait bool) (finish func() error, err error) {
	var spans []trace.Span
	now := time.Now()
	kept := items[:0]
	for _, it := range items {
		if it.expired(now) {
			c.stats.drop(dropExpired, 1)
			continue
		}
		kept = append(kept, it)
		if it.span.IsValid() {
			_, span := c.trace.Start(trace.ContextWithSpanContext(context.Background(), it.span), "gateway.write",
				trace.WithAttributes(attribute.String(telemetry.KeyEventID, it.id), attribute.String(telemetry.KeyConnection, c.id)))
			spans = append(spans, span)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	if o, ok := c.out.(offering); ok && !wait {
		finish, err = o.offer(kept)
	} else {
		err = c.out.write(kept)
	}
	for _, span := range spans { // one that must be finished has been on its way for the time it waited here
		span.End()
	}
	c.stats.wrote(kept, now, behind)
	return finish, err
}

// written accounts for one write.
func (c *connection) written(size int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) { // for the whole write timeout it has read nothing
			c.stats.slow(c.principal)
		}
		c.dead, c.queue = true, nil
		c.out.abort()
	}
	c.waiting = max(c.waiting-size, 0)
	if c.dead || c.waiting <= c.limit/4 {
		c.roomMade()
	}
}
