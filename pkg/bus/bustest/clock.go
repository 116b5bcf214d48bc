package bustest

import (
	"sync/atomic"
	"testing"
	"time"

	_ "unsafe" // for go:linkname

	_ "github.com/nats-io/nats-server/v2/server/ats" // whose variables they are
)

// The server expires messages by a clock of its own, that a goroutine of the
// process sets; in a bubble both would be strangers: everything stored at the
// bubble's time, the year 2000, would count as decades old. These are the
// clock's two variables.
//
//go:linkname serverTime github.com/nats-io/nats-server/v2/server/ats.utime
var serverTime atomic.Int64

//go:linkname serverUsers github.com/nats-io/nats-server/v2/server/ats.refs
var serverUsers atomic.Int64

// ownClock keeps the server from starting its goroutine until release is called.
func ownClock() (release func()) {
	if serverUsers.Add(1) > 1 {
		panic("bustest: a server runs outside the bubble")
	}
	return func() { serverUsers.Add(-1) }
}

// tick sets the server's clock to the bubble's time while the test runs.
func tick(t *testing.T, each time.Duration) {
	set := func() { serverTime.Store(time.Now().UnixNano()) }
	set()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		every := time.NewTicker(each)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				set()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); <-stopped })
}
