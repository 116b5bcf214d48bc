package bustest

import (
	"runtime"
	"testing"
	"testing/synctest"
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
	defer ownClock()()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, func(t *testing.T) {
		tick(t)
		f(t)
	})
}

// emptyPools drops what every sync.Pool holds: the first collection makes it
// the pool's victims, the second lets go of them.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
