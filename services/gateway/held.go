package gateway

// hold keeps a live item back until catch-up has passed everything older. When
// held is full, at a quarter of what the queue may hold, it is dropped whole, and
// catch-up reads the log instead.
func (c *connection) hold(it *item) {
	if c.overflowed {
		return
	}
	if policy(load{waiting: c.heldBytes, limit: c.limit / 4}, len(it.body), false) == cut {
		c.held, c.heldBytes, c.overflowed = nil, 0, true
		return
	}
	c.held = append(c.held, it)
	c.heldBytes += len(it.body)
}

// fallBehind says that what is sent from now on was missed.
func (c *connection) fallBehind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = true
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
			c.wake()
		}
	}
	c.behind, c.holding, c.held, c.heldBytes = false, false, nil, 0
	return true
}
