package scheduler

import (
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// TestTM1TM2ClockStrikes: the clock strikes on real JetStream, from its first minute.
func TestTM1TM2ClockStrikes(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		h := listen(t, srv.Bus().NC, "clock.>")
		newReplica(t, srv.Bus(), configure(func(c *Config) { c.Zones = []string{"AA=Asia/Tokyo"} }))
		pass(time.Hour + time.Minute)
		got := map[string]int{}
		for _, e := range h.all() {
			got[e.Type+" "+e.Tenant]++
			if late := e.at.Sub(e.Time); late.Abs() > time.Second || e.Source != "/scheduler" || len(e.Data) > 0 || e.Malformed != "" {
				t.Errorf("%+v", e)
			}
		}
		for name, want := range map[string]int{
			"frm.time.timeNew ": 30, "frm.time.timeQH ": 4, "frm.time.timeHour ": 1, "frm.time.time47min ": 1,
			"frm.time.Midnight ": 1, "frm.time.timeNightControl1 ": 1,
		} {
			if got[name] != want {
				t.Errorf("%q came %d times, not %d", name, got[name], want)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("and %v", got)
		}
	})
}
