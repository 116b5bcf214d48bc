package bustest

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats-server/v2/server/ats"
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
	// The server's clock has one goroutine per process; started inside, it would
	// keep the bubble from ever ending.
	ats.Register()
	defer ats.Unregister()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

// emptyPools drops what every sync.Pool holds: the first collection makes it
// the pool's victims, the second lets go of them.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
