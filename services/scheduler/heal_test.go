package scheduler

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
)

// TestTM6LateFire: the server decides to fire an occurrence, and before it does,
// somebody arms another one. What it then does takes that one away; it comes back.
func TestTM6LateFire(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		r := newReplica(t, srv.Bus(), quiet)
		a := addressOf("AA", "x")
		for _, way := range []string{event1, `"action":{"notify":{"user":"anna"}}`} {
			r.must("POST", "/v1/schedules", r.token(), `{"id":"x","rule":{"every":"1h"},`+way+`}`)
			have, err := r.s.store.load(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			// As the server writes it: the arming is the one before.
			m := &nats.Msg{
				Subject: a.Due(have.Action.way()), Data: encode(dueDoc{Tenant: "AA", ID: "x", Arming: have.Arming - 1}),
				Header: nats.Header{headerArmed: {a.Armed()}, headerNext: {"purge"}},
			}
			if _, err := srv.Bus().JS.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			armed, err := r.s.store.last(t.Context(), Schedules, a.Armed())
			if err != nil || armed == nil {
				t.Fatalf("nothing is armed, %v", err)
			}
			if now, err := r.s.store.load(t.Context(), a); err != nil || now.Arming != have.Arming+1 || !now.Armed.Nominal.Equal(have.Armed.Nominal) {
				t.Errorf("%+v, %v", now, err)
			}
			r.must("DELETE", "/v1/schedules/x", r.token(), "")
			pass(time.Second)
		}
		if n, err := r.s.store.count(t.Context(), ">"); n != 1 || err != nil {
			t.Errorf("%d messages remain beside the definition's, %v", n-1, err)
		}
	})
}

// TestTM6Backup: SCHEDULES as it was hours ago fires nothing that has been fired.
func TestTM6Backup(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		r := newReplica(t, srv.Bus(), quiet)
		a := addressOf("AA", "x")
		r.must("POST", "/v1/schedules", r.token(), `{"id":"x","rule":{"every":"10m"},"catchUp":{"policy":"all"},`+event1+`}`)
		backup, err := r.s.store.load(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		pass(5*time.Hour + time.Minute)
		now, err := r.s.store.load(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.s.store.commit(t.Context(), change{now.revision, backup.definition}); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		got := ids(stored(t, srv.Bus(), "evt.AA.ledger.close"))
		for id, n := range got {
			if n != 1 {
				t.Errorf("%s came %d times", id, n)
			}
		}
		if len(got) != 31 {
			t.Errorf("%d events", len(got))
		}
	})
}

// TestTM4ClockSetBack: the machine's clock is set two hours back, which is noticed.
// Intervals go on at their pace, and clock times that were are not again.
func TestTM4ClockSetBack(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		h := listen(t, srv.Bus().NC, "clock.>")
		// The server keeps its time; what armed in the old time is two hours ahead.
		var ahead atomic.Int64
		ahead.Store(int64(2 * time.Hour))
		newReplica(t, srv.Bus(), replace(func(s *Service) {
			s.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		}))
		pass(time.Second)
		ahead.Store(0)
		pass(time.Hour + time.Minute)
		ticks := 0
		for _, e := range h.all() {
			if e.Type == "frm.time.timeNew" {
				ticks++
			}
			if late := e.at.Sub(e.Time); late.Abs() > time.Second {
				t.Errorf("%+v", e)
			}
		}
		if ticks != 30 {
			t.Errorf("%d ticks in an hour", ticks)
		}
	})
}

// TestTM8EndedIsForgotten: a moment that has passed fires at once; the schedule is
// shown as ended for a while, and then it is gone.
func TestTM8EndedIsForgotten(t *testing.T) {
	bustest.BubbleTick(t, time.Minute, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		r := newReplica(t, srv.Bus(), quiet, slowly, configure(func(c *Config) { c.KeepEnded = time.Hour }))
		r.must("POST", "/v1/schedules", r.token(), `{"id":"x","rule":{"at":"1999-12-31T23:00:00Z"},`+event1+`}`)
		pass(time.Second)
		if n := len(stored(t, srv.Bus(), "evt.AA.ledger.close")); n != 1 {
			t.Errorf("%d events", n)
		}
		if got := decode[scheduleJSON](t, r.must("GET", "/v1/schedules/x", r.token(), "")).Schedule; got.State != stateEnded || got.Fired != 1 || got.Next != "" {
			t.Errorf("%+v", got)
		}
		pass(time.Hour + time.Second)
		if status, body := r.call("GET", "/v1/schedules/x", r.token(), ""); status != 404 {
			t.Error(status, body)
		}
		pass(remainsFor + time.Minute)
		if n, err := r.s.store.count(t.Context(), ">"); n != 0 || err != nil {
			t.Errorf("%d messages remain, %v", n, err)
		}
	})
}

// TestTM2Reconfigured: another time is armed at the next start, one that is off is
// gone, and the others go on.
func TestTM2Reconfigured(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	first := newReplica(t, srv.Bus(), configure(func(c *Config) { c.Zones = []string{"AA=Asia/Tokyo"} }))
	all := func(r *replica) map[string]definition {
		m := map[string]definition{}
		for seq := uint64(1); ; {
			msg, err := r.s.store.after(t.Context(), Schedules, subject.TenantSchedules(subject.Platform), seq)
			if err != nil {
				t.Fatal(err)
			}
			if msg == nil {
				return m
			}
			seq = msg.Seq + 1
			var d definition
			if err := json.Unmarshal(msg.Data, &d); err != nil {
				t.Fatal(err)
			}
			if d.live() {
				m[d.ID] = d
			}
		}
	}
	before := all(first)
	if len(before) != 4+14+14 {
		t.Fatalf("%d schedules", len(before))
	}
	first.stop()
	second := newReplica(t, srv.Bus(), configure(func(c *Config) { c.Clock = []string{"Noon=11:55", "EOD=off"} }))
	after := all(second)
	if len(after) != 4+13 || after["Noon"].Rule.Cron != "0 55 11 * * *" || after["BOD"].Arming != before["BOD"].Arming ||
		!after["timeHour"].Armed.At.Equal(before["timeHour"].Armed.At) {
		t.Errorf("%+v", after)
	}
}

// TestTM6StartWalksThroughNothing: whatever else SCHEDULES holds, a start asks for
// messages by their subjects only. The server answers what comes next under a pattern
// by looking through all that there is, once there are many subjects.
func TestTM6StartWalksThroughNothing(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	asked, err := srv.Bus().NC.SubscribeSync("$JS.API.STREAM.MSG.GET." + Schedules)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Bus().NC.Flush(); err != nil {
		t.Fatal(err)
	}
	newReplica(t, srv.Bus(), configure(func(c *Config) { c.Zones = []string{"AA=Asia/Tokyo"} })).stop()
	newReplica(t, srv.Bus(), configure(func(c *Config) { c.Clock = []string{"EOD=off"} })).stop()
	if err := srv.Bus().NC.Flush(); err != nil {
		t.Fatal(err)
	}
	n, _, err := asked.Pending()
	if err != nil || n < 2*(4+14) {
		t.Fatalf("%d requests seen, %v", n, err)
	}
	for range n {
		m, err := asked.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(m.Data), "next_by_subj") {
			t.Errorf("a start walks: %s", m.Data)
		}
	}
}

// TestConfig names the key that is wrong.
func TestConfig(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*Config){
		"scheduler.zone: \"Prague\"":       func(c *Config) { c.Zone = "Prague" },
		"scheduler.zones: \"AA\"":          func(c *Config) { c.Zones = []string{"AA"} },
		"scheduler.zones: AA: \"Moon\"":    func(c *Config) { c.Zones = []string{"AA=Moon"} },
		"scheduler.zones: AA is there":     func(c *Config) { c.Zones = []string{"AA=UTC", "AA=UTC"} },
		"scheduler.clock: \"noon=12:00\"":  func(c *Config) { c.Clock = []string{"noon=12:00"} },
		"scheduler.clock: Noon: \"25:00\"": func(c *Config) { c.Clock = []string{"Noon=25:00"} },
		"scheduler.clock: timeQH":          func(c *Config) { c.Clock = []string{"timeQH=0s"} },
		"scheduler.max_per_tenant":         func(c *Config) { c.MaxPerTenant = 0 },
		"scheduler.keep_ended":             func(c *Config) { c.KeepEnded = 0 },
		"scheduler.notify_timeout":         func(c *Config) { c.NotifyTimeout = time.Hour },
		"scheduler.notify_at_once":         func(c *Config) { c.NotifyAtOnce = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestTM8RemovedAlready: AfterBatch is called again after a failure, and finds gone what
// its first call removed. That is no failure, or it would be called for ever.
func TestTM8RemovedAlready(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t, bustest.Spec(streams)).Bus()
	ack, err := b.JS.Publish(t.Context(), addressOf("AA", "x").Armed(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(b)
	for _, seq := range []uint64{ack.Sequence, ack.Sequence, ack.Sequence + 1} {
		if err := s.remove(t.Context(), seq); err != nil {
			t.Errorf("%d: %v", seq, err)
		}
	}
	if n, err := s.count(t.Context(), ">"); n != 0 || err != nil {
		t.Errorf("%d remain, %v", n, err)
	}
}

// deposed is a leader that was, and knows nothing of what its successor stores.
type deposed struct {
	stream.Caller
	since *atomic.Bool
}

func (d deposed) Request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	if d.since.Load() && strings.Contains(m.Subject, ".STREAM.MSG.GET."+Schedules) {
		return &nats.Msg{Data: []byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)}, nil
	}
	return d.Caller.Request(ctx, m)
}

// TestTM8DeposedLeader: what is due is not given up because somebody who was the leader
// says that there is no such schedule; what is really gone is.
func TestTM8DeposedLeader(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		var old atomic.Bool
		r := newReplica(t, srv.Bus(), quiet, replace(func(s *Service) {
			if s.store != nil { // once for the configuration alone
				s.store.ask = deposed{s.store.ask, &old}
			}
		}))
		for id, way := range map[string]string{"event": event1, "notice": `"action":{"notify":{"user":"anna"}}`} {
			r.must("POST", "/v1/schedules", r.token(), `{"id":"`+id+`","rule":{"every":"1h"},`+way+`}`)
		}
		old.Store(true)
		pass(2*time.Hour + time.Minute)
		old.Store(false)
		for _, id := range []string{"event", "notice"} {
			have, err := r.s.store.load(t.Context(), addressOf("AA", id))
			if err != nil || have.Arming != 3 {
				t.Errorf("%s: arming %d after two occurrences, %v", id, have.Arming, err)
			}
		}
		if n := len(stored(t, srv.Bus(), "evt.AA.ledger.close")); n != 2 {
			t.Errorf("%d events of 2", n)
		}

		// And a due message of nothing at all is nobody's.
		m := &nats.Msg{Subject: addressOf("AA", "gone").Due(subject.WayEvent), Data: encode(dueDoc{Tenant: "AA", ID: "gone", Arming: 7})}
		if _, err := srv.Bus().JS.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if left, err := r.s.store.last(t.Context(), Schedules, m.Subject); left != nil || err != nil {
			t.Errorf("it is still there: %v %v", left, err)
		}
	})
}
