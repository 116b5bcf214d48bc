package scheduler

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TestTM3NobodyDelaysAnother: a module's handler that takes a minute, and a hundred
// notices to windows that do not answer, delay neither the clock nor another notice.
func TestTM3NobodyDelaysAnother(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		told := map[string]time.Time{}
		done := make(chan event.Event, 100)
		notify := func(ctx context.Context, _, user, _ string, build func(context.Context) (event.Event, error)) (int, error) {
			if user == "stuck" {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				return 0, fault.New(fault.Unavailable, "no answer")
			}
			e, err := build(ctx)
			done <- e
			return 1, err
		}
		r := newReplica(t, srv.Bus(), configure(func(c *Config) {
			c.Clock, c.NotifyTimeout, c.NotifyAtOnce = []string{"timeNew=10s"}, time.Minute, 101
		}), replace(func(s *Service) { s.notify = notify }))
		release := make(chan struct{})
		slow, err := srv.Bus().NC.Subscribe("clock._.timeNew", func(*nats.Msg) { <-release })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { close(release); _ = slow.Unsubscribe() }()
		h := listen(t, srv.Bus().NC, "clock._.timeNew")
		for i := range 100 {
			r.must("POST", "/v1/schedules", r.token(), fmt.Sprintf(`{"id":"stuck%d","rule":{"every":"10s"},"action":{"notify":{"user":"stuck"}}}`, i))
		}
		r.must("POST", "/v1/schedules", r.token(), `{"id":"fine","rule":{"every":"10s"},"action":{"notify":{"user":"anna","data":{"title":"tea"}}}}`)
		pass(61 * time.Second)
		if n := len(h.all()); n != 6 {
			t.Errorf("the clock struck %d times in a minute of 10 seconds", n)
		}
		for _, e := range h.all() {
			if late := e.at.Sub(e.Time); late > time.Second {
				t.Errorf("%s came %s late", e.ID, late)
			}
		}
		for n := len(done); n > 0; n-- {
			e := <-done
			told[e.ID] = e.Time
			nominal, err := time.Parse(time.RFC3339Nano, e.Extensions[extNominal].(string))
			if err != nil || e.Time.Sub(nominal) > time.Second {
				t.Errorf("%s was sent at %s", e.ID, e.Time)
			}
			if want := `{"reminderTime":"` + nominal.Format(time.RFC3339Nano) + `","title":"tea"}`; string(e.Data) != want || e.Type != reminder {
				t.Errorf("%s %s, not %s", e.Type, e.Data, want)
			}
		}
		if len(told) != 6 {
			t.Errorf("%d notices of 6: %v", len(told), told)
		}
	})
}

// TestTM8NobodyThere: the history says what became of each notice, and a notice that
// cannot be sent does not stop its schedule.
func TestTM8NobodyThere(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		n := 0
		notify := func(context.Context, string, string, string, func(context.Context) (event.Event, error)) (int, error) {
			switch n++; {
			case n == 1:
				return 2, nil
			case n == 2:
				return 0, fault.New(fault.NobodyThere, "nobody")
			}
			return 0, fault.New(fault.Unavailable, "no answer")
		}
		r := newReplica(t, srv.Bus(), quiet, replace(func(s *Service) { s.notify = notify }))
		r.must("POST", "/v1/schedules", r.token(), `{"id":"tea","rule":{"every":"1m"},"action":{"notify":{"user":"anna"}}}`)
		pass(3*time.Minute + 30*time.Second)
		type history struct {
			Entries []struct {
				Outcome, Reason string
				Connections     int
			}
		}
		got := decode[history](t, r.must("GET", "/v1/schedules/tea/history", r.token(), "")).Entries
		if len(got) != 3 || got[2].Outcome != outReached || got[2].Connections != 2 || got[1].Outcome != outNobody ||
			got[0].Outcome != outFailed || got[0].Reason != string(fault.Unavailable) {
			t.Errorf("%+v", got)
		}
		if next := decode[scheduleJSON](t, r.must("GET", "/v1/schedules/tea", r.token(), "")).Schedule.Next; next != "2000-01-01T00:04:00Z" {
			t.Errorf("next is %s", next)
		}
	})
}
