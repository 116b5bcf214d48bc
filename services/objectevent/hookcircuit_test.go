package objectevent

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// TestOE4ADeadHookIsLeftAlone and tried again, on the real store under fake time: it
// costs its timeout five times, then nothing, then its timeout once every pause.
func TestOE4ADeadHookIsLeftAlone(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		w := newHookWorld(t, func(s *hookSetup) { s.servers = append(s.servers, bustest.InProcess()) })
		w.register("dead", object{"timeout": "2s"})
		var alive atomic.Bool
		var asked atomic.Int32
		nc := bustest.Connect(t, "", nats.InProcessServer(w.nats.(*bustest.Server)),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // answers that come too late may not be sent
		ctx, cancel := context.WithCancel(context.Background())
		ended, over := make(chan error, 1), make(chan struct{})
		go func() {
			ended <- client.ServeHook(ctx, nc, "AA", "dead", func(context.Context, client.Before) client.Verdict {
				if asked.Add(1); !alive.Load() {
					<-over // and not ctx.Done: an answer at the deadline may be heard
				}
				return client.Allow()
			})
		}()
		defer func() { cancel(); close(over); <-ended }()
		synctest.Wait()

		ask := func() (string, time.Duration) {
			t.Helper()
			began := time.Now()
			out := w.mustBefore(nil)
			return out.GetHooks()[0].GetOutcome(), time.Since(began)
		}
		for i := range 5 {
			if outcome, took := ask(); outcome != string(TimedOut) || took < 2*time.Second || took > 2100*time.Millisecond {
				t.Fatalf("call %d: %s after %s", i, outcome, took)
			}
		}
		if outcome, took := ask(); outcome != string(CutOff) || took > 100*time.Millisecond || asked.Load() != 5 {
			t.Fatalf("with an open circuit: %s after %s, asked %d times", outcome, took, asked.Load())
		}
		shown := &objecteventv1.GetHookResponse{}
		if err := w.call("GET", "/v1/hooks/dead", nil, shown); err != nil || shown.GetHook().GetCircuit() != circuitOpen {
			t.Fatalf("%v %v", shown, err)
		}
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(
			"# HELP belfry_objectevent_hook_circuits_open Hooks that failed too often and are not asked for a while.\n"+
				"# TYPE belfry_objectevent_hook_circuits_open gauge\nbelfry_objectevent_hook_circuits_open 1\n"), "belfry_objectevent_hook_circuits_open"); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second) //nolint:forbidigo // in a bubble
		if outcome, took := ask(); outcome != string(TimedOut) || took < 2*time.Second {
			t.Fatalf("half open: %s after %s", outcome, took)
		}
		if outcome, _ := ask(); outcome != string(CutOff) {
			t.Fatalf("open again: %s", outcome)
		}
		alive.Store(true)
		time.Sleep(30 * time.Second) //nolint:forbidigo // in a bubble
		for range 2 {
			if outcome, _ := ask(); outcome != string(SaidYes) {
				t.Fatalf("alive again: %s", outcome)
			}
		}
		synctest.Wait()
		opened, closed := w.stored("hooks", "circuit-opened"), w.stored("hooks", "circuit-closed")
		if len(opened) != 1 || len(closed) != 1 || opened[0].Subject != "dead" {
			t.Fatalf("opened %v, closed %v", opened, closed)
		}
		if got, want := string(opened[0].Data), `{"hook":"dead","failures":5,"reason":"no answer within 2s"}`; got != want {
			t.Errorf("%s, not %s", got, want)
		}
		if n := len(w.awaitVerdicts(10, "")); n != 10 { // 6 timeouts, 2 not asked, 2 yes
			t.Errorf("%d verdicts", n)
		}
	})
}

func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		c := newCircuits(2, time.Minute, func(change circuitChange) { told = append(told, change.opened) })
		id := hookID{"AA", "guard"}
		fail := func(revision int32) { c.leave(id, revision, true, "") }
		expect := func(state string, enters bool) {
			t.Helper()
			if got := c.state(id, 1); got != state {
				t.Fatalf("%s, not %s", got, state)
			}
			if got := c.enter(id, 1); got != enters {
				t.Fatalf("let in: %v", got)
			}
		}
		expect(circuitClosed, true)
		fail(1)
		c.leave(id, 1, false, "") // an answer: failures are counted in a row
		fail(1)
		expect(circuitClosed, true)
		fail(1)
		expect(circuitOpen, false)
		fail(1) // of a call from before
		if c.opened() != 1 {
			t.Fatal("the metric does not know")
		}
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		expect(circuitHalfOpen, true)
		expect(circuitHalfOpen, false) // one at a time
		fail(1)
		expect(circuitOpen, false)
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		expect(circuitHalfOpen, true)
		c.cancel(id)
		expect(circuitHalfOpen, true)
		if !c.enter(id, 2) {
			t.Fatal("a hook that was changed is not tried")
		}
		fail(2)
		c.leave(id, 1, false, "") // late, of the hook as it was
		fail(2)
		if got := c.state(id, 2); got != circuitOpen {
			t.Fatalf("two failures of the changed hook: %s", got)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		if !c.enter(id, 2) {
			t.Fatal("not tried")
		}
		c.leave(id, 2, false, "")
		c.forget(id)
		if got := c.state(id, 2); got != circuitClosed || c.opened() != 0 {
			t.Fatal(got)
		}
		if want := []bool{true, true, false}; len(told) != len(want) || told[0] != want[0] || told[1] != want[1] || told[2] != want[2] {
			t.Fatalf("told %v, not %v", told, want)
		}
	})
}
