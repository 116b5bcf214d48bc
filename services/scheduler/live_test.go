package scheduler

import (
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// TestTM1TM2ClockStrikes: the clock strikes on real JetStream, from its first minute;
// for a tenant with a zone of its own, also in that zone. Every event says when it
// was meant to come, when it came and where that is read; none is stored.
func TestTM1TM2ClockStrikes(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		h := listen(t, srv.Bus().NC, "clock.>")
		newReplica(t, srv.Bus(), configure(func(c *Config) { c.Zones = []string{"AA=Pacific/Majuro"} }))
		pass(time.Hour + time.Minute)
		got := map[string]int{}
		for _, e := range h.all() {
			got[e.Type+" "+e.Tenant]++
			source, zone := "/scheduler", "UTC"
			if e.Tenant != "" {
				source, zone = "/scheduler/AA", "Pacific/Majuro"
			}
			if late := e.at.Sub(e.Time); late.Abs() > time.Second || e.Source != source || len(e.Data) > 0 || e.Malformed != "" {
				t.Errorf("%+v", e)
			}
			nominal, _ := e.Extensions[extNominal].(string)
			if e.Extensions[extZone] != zone || e.Extensions[extMissed] != int32(0) || e.ID != e.Type+"@"+nominal ||
				e.Extensions[extActual] != e.Time.Format(time.RFC3339Nano) || e.Recipient != "" {
				t.Errorf("%+v", e)
			}
		}
		for name, want := range map[string]int{
			"frm.time.timeNew ": 30, "frm.time.timeQH ": 4, "frm.time.timeHour ": 1, "frm.time.time47min ": 1,
			"frm.time.Midnight ": 1, "frm.time.timeNightControl1 ": 1, "frm.time.Noon AA": 1, // 12:02 there is 00:02 here
		} {
			if got[name] != want {
				t.Errorf("%q came %d times, not %d", name, got[name], want)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("and %v", got)
		}
		if n := len(stored(t, srv.Bus(), "evt.>")); n > 0 {
			t.Errorf("%d events are stored", n)
		}
	})
}
