package objectevent

import (
	"context"
	"errors"
	"sync"
	"time"
)

// crew runs what must not end with the call that began it: a caller who hangs up
// leaves hooks that are being asked.
type crew struct {
	life context.Context // ends with errStopping
	end  context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// begin makes the crew ready.
func (c *crew) begin() { c.life, c.end = context.WithCancelCause(context.Background()) }

// start runs f, unless the crew has finished.
func (c *crew) start(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(func() { f(c.life) })
	return true
}

// finish takes nothing more, waits, and ends what takes longer.
func (c *crew) finish(patience time.Duration) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	defer time.AfterFunc(patience, func() { c.end(errStopping) }).Stop()
	c.running.Wait()
	c.end(errors.New("over"))
}

// stopping says that the life of a crew was ended before its time.
func stopping(life context.Context) bool { return errors.Is(context.Cause(life), errStopping) }
