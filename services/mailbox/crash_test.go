package mailbox

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/stream"
)

// crasher lets so many calls through and then ends the process, as far as its
// calls can tell: odd ones are cut off before NATS has them, even ones after.
type crasher struct {
	stream.Caller
	mu   sync.Mutex
	left int // calls and half calls
}

var errCrashed = errors.New("the process has ended here")

func (c *crasher) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	c.mu.Lock()
	c.left--
	before := c.left < 0
	c.left--
	after := c.left < 0
	c.mu.Unlock()
	if before {
		return nil, errCrashed
	}
	answer, err := c.Caller.Request(ctx, m)
	if after {
		return nil, errCrashed
	}
	return answer, err
}

// arm lets so many half calls through from now on.
func (c *crasher) arm(halfCalls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = halfCalls
}

// over says whether the process has ended.
func (c *crasher) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left < 0
}
