package gateway

// load is how full a connection's queue is, in bytes.
type load struct {
	waiting   int // in all, what is being written included
	droppable int // of those, real-time events that are not being written yet
	limit     int
}

func (c *connection) load() load { return load{c.waiting, c.droppable, c.limit} }

// verdict is what becomes of one more item.
type verdict uint8

const (
	accept   verdict = iota
	makeRoom         // drop the oldest real-time items, then accept
	refuse           // drop the item itself
	cut              // close and let the client resume
)

// policy is the one rule for connections that read too slowly (GW4). What is in
// the log is never dropped from a queue: where it does not fit, the connection is
// closed with slow_consumer, and the client resumes from its cursor. A real-time
// event is worth something now or never, so the oldest of those give way first, to
// either kind; one that finds nothing older to take the place of is itself the
// oldest. One item fits always, so that an event larger than the queue cannot
// close for ever.
func policy(l load, size int, realtime bool) verdict {
	switch {
	case l.waiting == 0 || l.waiting+size <= l.limit:
		return accept
	case l.droppable > 0 && (l.waiting-l.droppable == 0 || l.waiting-l.droppable+size <= l.limit):
		return makeRoom
	case realtime:
		return refuse
	}
	return cut
}

// dropOldest drops real-time items from the front of the queue until size bytes
// fit, and a sixteenth of the queue more, so that a client that stays slow does not
// cost a walk through its queue for every event. Under mu.
func (c *connection) dropOldest(size int) {
	need := c.waiting + size - c.limit + c.limit/16
	kept, dropped := c.queue[:0], 0
	for _, it := range c.queue {
		if !it.realtime || need <= 0 {
			kept = append(kept, it)
			continue
		}
		need -= len(it.body)
		c.waiting -= len(it.body)
		c.droppable -= len(it.body)
		dropped++
	}
	clear(c.queue[len(kept):])
	c.queue = kept
	c.stats.drop(dropQueueFull, dropped)
}
