package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TM8: a rule is looked at where nothing runs, and the days on which the clocks
// change are marked.
func TestTM8SchedulePreview(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--cron", "30 2 * * *", "--zone", "Europe/Prague", "--from", "2026-10-24", "--count", "3"}, `
Europe/Prague                   UTC
Sat 2026-10-24 02:30:00 +02:00  2026-10-24 00:30:00
Sun 2026-10-25 02:30:00 +02:00  2026-10-25 00:30:00  clocks go back, 03:00 → 02:00; fires the first time
Mon 2026-10-26 02:30:00 +01:00  2026-10-26 01:30:00
`},
		{[]string{"--cron", "30 2 * * *", "--zone", "Europe/Prague", "--from", "2026-10-24", "--count", "2", "--overlap", "second"}, `
Europe/Prague                   UTC
Sat 2026-10-24 02:30:00 +02:00  2026-10-24 00:30:00
Sun 2026-10-25 02:30:00 +01:00  2026-10-25 01:30:00  clocks go back, 03:00 → 02:00; fires the second time
`},
		{[]string{"--cron", "30 2 * * *", "--zone", "America/New_York", "--from", "2026-03-07", "--count", "3"}, `
America/New_York                UTC
Sat 2026-03-07 02:30:00 -05:00  2026-03-07 07:30:00
Sun 2026-03-08 03:00:00 -04:00  2026-03-08 07:00:00  clocks go forward, 02:00 → 03:00; fires at the change
Mon 2026-03-09 02:30:00 -04:00  2026-03-09 06:30:00
`},
		{[]string{"--every", "36h", "--anchor", "2026-06-01", "--exclude", "sat,sun", "--end", "2026-06-08", "--from", "2026-06-01"}, `
UTC
Tue 2026-06-02 12:00:00
Thu 2026-06-04 00:00:00
Fri 2026-06-05 12:00:00
and then never again
`},
	} {
		out, err := belfry(t, "", append([]string{"schedule", "preview"}, c.args...)...)
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		if diff := cmp.Diff(c.want, "\n"+out); diff != "" {
			t.Errorf("%v:\n%s", c.args, diff)
		}
	}
	out, err := belfry(t, "", "schedule", "preview", "--cron", "0 2 25 10 *", "--zone", "Europe/Prague", "--from", "2026-01-01", "--count", "1", "--json")
	var answer struct {
		Fires []struct {
			Nominal, Local                string
			ClockChange, InGap, InOverlap bool
		}
		ZoneData string
	}
	if err != nil || json.Unmarshal([]byte(out), &answer) != nil || len(answer.Fires) != 1 || answer.ZoneData == "" {
		t.Fatalf("%v\n%s", err, out)
	}
	if f := answer.Fires[0]; f.Local != "2026-10-25T02:00:00+02:00" || f.Nominal != "2026-10-25T00:00:00Z" || !f.ClockChange || f.InGap || !f.InOverlap {
		t.Errorf("%+v", f)
	}
}

// TM8: the life of schedules from a terminal.
func TestTM8Schedule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	try := func(args ...string) (string, error) {
		return belfry(t, "", append(append([]string{"schedule"}, args...), "--url", p.web, "--data-dir", dir)...)
	}
	says := func(want string, args ...string) {
		t.Helper()
		if out, err := try(args...); err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%v: %v, want %q in\n%s", args, err, want, out)
		}
	}
	refuses := func(code fault.Code, want string, args ...string) {
		t.Helper()
		if out, err := try(args...); fault.CodeOf(err) != code || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v (%s), want %s: %s\n%s", args, err, fault.CodeOf(err), code, want, out)
		}
	}

	says("no schedules", "list")
	report := []string{"add", "report", "--cron", "30 6 * * MON-FRI", "--zone", "Europe/Prague", "--publish", "reports.due", "--jitter", "30s"}
	says("report fires next", report...)
	says("report fires next", report...) // the same again is the same
	refuses(fault.ScheduleExists, "id", "add", "report", "--every", "1m", "--publish", "reports.due")
	refuses(fault.InvalidSchedule, "position 1", "add", "x", "--cron", "61 * * * *", "--publish", "a.b")
	refuses(fault.InvalidEvent, "CM_REMINDER", "add", "x", "--every", "1m", "--notify", "anna", "--data", `{"subjct":""}`)
	says("tea fires at once, for Sun 2026-01-04 14:30:00 +01:00", "add", "tea", "--at", "2026-01-04 14:30", "--zone", "Europe/Prague",
		"--notify", "anna", "--data", `{"title":"Tea"}`, "--description", "for Anna")
	bustest.Eventually(t, patience, "the reminder that was due", func() bool {
		out, err := try("history", "tea")
		return err == nil && strings.Contains(out, "nobody was there") && strings.Contains(out, "tea@2026-01-04T13:30:00Z")
	})
	says("about for Anna when at 2026-01-04 14:30 Europe/Prague does notify anna CM_REMINDER", "get", "tea")
	says("report is paused by operator: audit", "pause", "report", "--note", "audit")
	says("report 30 6 * * MON-FRI Europe/Prague publish reports.due 0 0 paused by operator: audit tea at", "list")
	says("nothing has happened yet", "history", "report")
	says("report runs now, as report@", "run", "report")
	bustest.Eventually(t, patience, "the run by hand", func() bool {
		out, err := try("history", "report")
		return err == nil && strings.Contains(out, "fired, by hand: operator")
	})
	says("report fires next", "resume", "report")
	says("due 1", "preview", "report", "--from", "2027-01-02", "--count", "20")
	says(`"state":"armed"`, "list", "--state", "armed", "--json")
	says("report is gone", "delete", "report")
	says("report is gone", "delete", "report")
	refuses(fault.ScheduleUnknown, "no such schedule", "get", "report")
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
