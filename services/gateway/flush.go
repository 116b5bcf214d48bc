package gateway

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/telemetry"
)

// batchBytes is about how much one write to a socket carries at most. Several
// waiting events share a write: under load that, not encoding, is the cost.
const batchBytes = 64 << 10

// flush writes until nothing waits. It is the connection's only writer.
func (c *connection) flush() {
	var batch []*item
	for {
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		c.droppable = 0
		behind := c.behind
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
			err := c.write(rest[:n], behind)
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
func (c *connection) write(items []*item, behind bool) error {
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
		return nil
	}
	err := c.out.write(kept)
	for _, span := range spans {
		span.End()
	}
	c.stats.wrote(kept, now, behind)
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
		c.roomMade()
	}
}
