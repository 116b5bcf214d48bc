package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// missedCases are what becomes of four hourly occurrences for which nobody was
// there, and of the one after them.
var missedCases = []struct {
	id, rule, catchUp string
	events            []string // nominal time, and how many it says were missed
	history           []string // the newest first: the last nominal time, outcome, reason, count
	state             string
}{
	{
		"once", `"every":"1h"`, ``,
		[]string{"04:00 3", "05:00 0"},
		[]string{"05:00 fired  0", "04:00 fired  3", "03:00 skipped coalesced 3"},
		stateArmed,
	},
	{
		"intime", `"every":"1h"`, `"window":"30m"`,
		[]string{"04:00 3", "05:00 0"},
		[]string{"05:00 fired  0", "04:00 fired  3", "03:00 skipped coalesced 3"},
		stateArmed,
	},
	{
		"late", `"every":"1h"`, `"window":"5m"`,
		[]string{"05:00 0"},
		[]string{"05:00 fired  0", "04:00 skipped late 4"},
		stateArmed,
	},
	{
		"all", `"every":"1h"`, `"policy":"all"`,
		[]string{"01:00 0", "02:00 0", "03:00 0", "04:00 0", "05:00 0"},
		[]string{"05:00 fired  0", "04:00 fired  0", "03:00 fired  0", "02:00 fired  0", "01:00 fired  0"},
		stateArmed,
	},
	{
		"newest", `"every":"1h"`, `"policy":"all","limit":2`,
		[]string{"03:00 2", "04:00 0", "05:00 0"},
		[]string{"05:00 fired  0", "04:00 fired  0", "03:00 fired  2", "02:00 skipped limit 2"},
		stateArmed,
	},
	{
		"skip", `"every":"1h"`, `"policy":"skip"`,
		[]string{"05:00 0"},
		[]string{"05:00 fired  0", "04:00 skipped policy 4"},
		stateArmed,
	},
	{
		"over", `"every":"1h","end":"2000-01-01 02:30"`, ``,
		[]string{"02:00 1"},
		[]string{"02:00 fired  1", "01:00 skipped coalesced 1"},
		stateEnded,
	},
	{
		"free", `"every":"1h","exclude":["2000-01-01"]`, ``,
		nil,
		nil, stateArmed,
	},
}

// TestTM8Missed: what fires after a time in which nobody was there, what each says it
// stands for, and what the history says of the others, is the policy's.
func TestTM8Missed(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		first := newReplica(t, srv.Bus(), quiet)
		for _, c := range missedCases {
			first.must("POST", "/v1/schedules", first.token(), fmt.Sprintf(
				`{"id":%q,"rule":{%s},"catchUp":{%s},"action":{"publish":{"topic":%q,"verb":"x"}}}`, c.id, c.rule, c.catchUp, c.id))
		}
		pass(30 * time.Minute)
		first.stop()
		pass(3*time.Hour + 40*time.Minute)
		second := newReplica(t, srv.Bus(), quiet)
		pass(time.Hour)
		for _, c := range missedCases {
			var events []string
			for _, e := range stored(t, srv.Bus(), "evt.AA."+c.id+".x") {
				nominal, _ := e.Extensions[extNominal].(string)
				events = append(events, fmt.Sprint(clockOf(t, nominal), " ", e.Extensions[extMissed]))
			}
			if diff := cmp.Diff(c.events, events); diff != "" {
				t.Errorf("%s, events:\n%s", c.id, diff)
			}
			history, missed := historyOf(t, second, c.id)
			if diff := cmp.Diff(c.history, history); diff != "" {
				t.Errorf("%s, history:\n%s", c.id, diff)
			}
			got := decode[scheduleJSON](t, second.must("GET", "/v1/schedules/"+c.id, second.token(), "")).Schedule
			if got.State != c.state || int(got.Fired) != len(c.events) || got.Missed != missed {
				t.Errorf("%+v, %d missed", got, missed)
			}
		}
	})
}

// historyOf is a schedule's history, a line each, and how many it says were skipped.
func historyOf(t *testing.T, r *replica, id string) (lines []string, skipped uint32) {
	t.Helper()
	type answer struct {
		Entries []struct {
			Nominal, Outcome, Reason string
			Count                    uint32
		}
	}
	for _, e := range decode[answer](t, r.must("GET", "/v1/schedules/"+id+"/history", r.token(), "")).Entries {
		lines = append(lines, fmt.Sprint(clockOf(t, e.Nominal), " ", e.Outcome, " ", e.Reason, " ", e.Count))
		if e.Outcome == outSkipped {
			skipped += e.Count
		}
	}
	return lines, skipped
}

func clockOf(t *testing.T, at string) string {
	t.Helper()
	nominal, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		t.Fatal(err)
	}
	return nominal.UTC().Format("15:04")
}
