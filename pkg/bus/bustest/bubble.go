package bustest

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Bubble runs f in a synctest bubble that a server may run in: Start it there,
// with InProcess. Time in the bubble passes only while everybody waits, so 30
// seconds of redelivery or 10 days of expiry take milliseconds.
//
// The test must not be parallel, nor have parallel parents. The NATS client
// keeps timers in a pool of the process, and a timer of one bubble used outside
// it ends the process; so nothing else may run, and the pool is emptied before
// and after.
func Bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	BubbleTick(t, time.Second, f)
}

// BubbleTick is Bubble in which the server's clock for expiring messages is set
// every so often only. That clock is most of what an idle year costs.
func BubbleTick(t *testing.T, every time.Duration, f func(*testing.T)) {
	t.Helper()
	defer ownClock()()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, func(t *testing.T) {
		tick(t, every)
		f(t)
	})
}

// emptyPools drops what every sync.Pool holds: the first collection makes it
// the pool's victims, the second lets go of them.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
