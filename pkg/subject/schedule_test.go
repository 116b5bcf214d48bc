package subject

import (
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	s, err := ScheduleOf("A.A", "close 7")
	if err != nil {
		t.Fatal(err)
	}
	p := PlatformSchedule("AA.Noon")
	for want, got := range map[string]string{
		"def.A=2EA.close=207":           s.Definition(),
		"sched.A=2EA.close=207":         s.Armed(),
		"due.evt.A=2EA.close=207":       s.Due(WayEvent),
		"due.rt.A=2EA.close=207.r1":     s.Run(WayRealtime, "r1"),
		"history.A=2EA.close=207":       s.History(),
		"ctl.sched.A=2EA.close=207":     s.Record(),
		"def.A=2EA.*":                   TenantSchedules("A.A"),
		"def._.*":                       TenantSchedules(Platform),
		"def._.AA=2ENoon":               p.Definition(),
		"due.clock.>":                   WayClock.Due(),
		"clock._.Noon":                  Clock(Platform, "Noon"),
		"clock.A=2EA.timeNightControl1": Clock("A.A", "timeNightControl1"),
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	for pattern, subj := range map[string]string{
		ScheduleDefinitions: p.Definition(), SchedulesArmed: s.Armed(), SchedulesDue: s.Run(WayEvent, "x"),
		ScheduleHistory: s.History(), Control: s.Record(),
	} {
		if !Match(pattern, subj) {
			t.Errorf("%s does not listen to %s", pattern, subj)
		}
	}
	for _, bad := range [][2]string{{"_", "x"}, {"", "x"}, {"AA", ""}, {"AA", "*"}, {"AA", "a\nb"}, {"AA", strings.Repeat("x", 129)}} {
		if _, err := ScheduleOf(bad[0], bad[1]); fault.CodeOf(err) != fault.InvalidName {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
