package roster

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// BenchmarkHundredThousand is two gateways with 100,000 users at one of them: what a
// quiet second costs, what a storm of 5,000 connections a second does, what a
// newcomer is told, and the memory of a user at a gateway he is not connected to.
//
//	go test -run - -bench HundredThousand -benchtime 1x ./services/gateway/internal/roster
func BenchmarkHundredThousand(b *testing.B) {
	server := bustest.Start(b)
	const users, perSecond = 100_000, 5_000
	for b.Loop() {
		var messages, bytes atomic.Int64
		gateway := func(id string) (*Roster, func()) {
			r := New(Options{
				NC: server.Connect().NC, Gateway: id, Grace: time.Second, Log: slog.New(slog.DiscardHandler),
				Said: func(n int) { messages.Add(1); bytes.Add(int64(n)) },
			})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() { defer close(done); _ = r.Run(ctx) }() // it cannot fail on a connection that stands
			return r, func() { cancel(); <-done }
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		take := func() (int64, int64) { return messages.Swap(0), bytes.Swap(0) }
		here, stopHere := gateway("here")
		people := make([]Person, users)
		for i := range people {
			people[i] = Person{"AA", fmt.Sprintf("user-%06d", i)}
		}
		there, stopThere := gateway("there")
		until := func(r *Roster, n int) {
			bustest.Eventually(b, time.Minute, "the rosters agree", func() bool { return r.Online() == n })
		}
		bustest.Eventually(b, time.Minute, "they know each other", func() bool { return here.Peers() == 1 && there.Peers() == 1 })
		before := heap()
		tick := time.NewTicker(10 * time.Millisecond)
		take()
		began := time.Now()
		for i := 0; i < users; {
			<-tick.C
			for n := min(users, int(time.Since(began).Seconds()*perSecond)); i < n; i++ {
				here.Enter(people[i])
			}
		}
		tick.Stop()
		until(there, users)
		storm := time.Since(began).Seconds()
		n, size := take()
		b.ReportMetric(float64(users)/storm, "connects/s")
		b.ReportMetric(float64(n)/storm, "storm-messages/s")
		b.ReportMetric(float64(size)/storm/1024, "storm-KiB/s")
		b.ReportMetric(float64(heap()-before)/users/2, "heap-B/user")

		take()
		quiet := time.NewTimer(3 * time.Second)
		<-quiet.C
		n, size = take()
		b.ReportMetric(float64(n)/3/2, "quiet-messages/s/gateway")
		b.ReportMetric(float64(size)/3/2, "quiet-B/s/gateway")

		began = time.Now()
		late, stopLate := gateway("late")
		until(late, users)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "newcomer-ms")
		began = time.Now()
		late.List("AA", "", 1000)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "first-page-ms")
		began = time.Now()
		for i := range 1000 {
			late.Get(people[i])
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/1000, "get-ns")
		stopLate()
		stopThere()
		stopHere()
	}
}
