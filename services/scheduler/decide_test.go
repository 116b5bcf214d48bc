package scheduler

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// TestTM8CatchUp lets a schedule live through outages and clocks that are set two
// hours forth and back, and holds every verdict against the occurrences counted one
// by one: each is fired once, or skipped and counted once, and none comes twice.
func TestTM8CatchUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		spec := rapid.SampledFrom([]calendar.Spec{
			{Every: "7m"},
			{Every: "1h", Anchor: "2026-03-01T00:13:00Z"},
			{Cron: "*/10 * * * *", Zone: "Europe/Prague"},
			{Cron: "30 2 * * *", Zone: "Europe/Prague"},
			{Cron: "0 */6 * * *", Zone: "America/New_York", Exclude: []string{"sat,sun"}},
			{Every: "11m", Jitter: "25m"},
		}).Draw(t, "rule")
		rule, err := calendar.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
		d := &definition{
			Tenant: "AA", ID: "x", Rule: spec, Created: now, Settled: now,
			CatchUp: catchUp{
				Policy: rapid.SampledFrom([]string{once, all, skip}).Draw(t, "policy"),
				Window: rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 30 * time.Hour}).Draw(t, "window"),
			},
		}
		if d.CatchUp.Policy == all {
			d.CatchUp.Limit = rapid.IntRange(1, 20).Draw(t, "limit")
		}
		d.rearm(rule, now, time.Hour)
		settled := map[time.Time]string{}
		began := now
		for range rapid.IntRange(1, 60).Draw(t, "occurrences") {
			if now.Before(d.Armed.At) {
				now = d.Armed.At // the server fires it
			}
			now = now.Add(rapid.SampledFrom([]time.Duration{
				100 * time.Millisecond, time.Second, 50 * time.Second, 59 * time.Minute, 61 * time.Minute, 72 * time.Hour, -2 * time.Hour, 2 * time.Hour,
			}).Draw(t, "then"))
			v := d.decide(rule, now)
			at := d.Settled
			for _, s := range v.skips {
				for range s.Count {
					o, ok := rule.Next(at)
					if !ok || o.Nominal.After(s.Last) {
						t.Fatalf("%s: %d skipped up to %s are too many", s.Reason, s.Count, s.Last)
					}
					if at = o.Nominal; settled[at] != "" {
						t.Fatalf("%s skipped, and %s before", at, settled[at])
					}
					settled[at] = s.Reason
				}
				if !at.Equal(s.Last) {
					t.Fatalf("%s: the last skipped is %s, not %s", s.Reason, at, s.Last)
				}
			}
			if f := v.fire; f != nil {
				o, _ := rule.Next(at)
				if !o.Nominal.Equal(f.Nominal) || settled[f.Nominal] != "" {
					t.Fatalf("%s fired, %s is next, %q", f.Nominal, o.Nominal, settled[f.Nominal])
				}
				late := now.Sub(f.Nominal.Add(rule.Offset(d.ID, f.Nominal)))
				if w := d.CatchUp.Window; w > 0 && d.CatchUp.Policy != skip && late >= w {
					t.Fatalf("%s fired %s late, outside %s", f.Nominal, late, w)
				}
				if d.CatchUp.Policy == skip && late >= punctual {
					t.Fatalf("%s fired %s late under skip", f.Nominal, late)
				}
				if f.Missed != v.missed() {
					t.Fatalf("says %d missed, %d are", f.Missed, v.missed())
				}
				at, settled[f.Nominal] = f.Nominal, "fired"
			}
			if !at.Equal(v.settled) {
				t.Fatalf("settled up to %s, not %s", at, v.settled)
			}
			if d.CatchUp.Policy == all {
				left := rule.Missed(v.settled, now.Add(-rule.Jitter))
				if left > uint64(d.CatchUp.Limit) {
					t.Fatalf("%d are left to catch up, %d may", left, d.CatchUp.Limit)
				}
			}
			d = d.apply(rule, v, now, time.Hour)
		}
		// Nothing between the beginning and here is forgotten.
		for at := began; ; {
			o, ok := rule.Next(at)
			if !ok || o.Nominal.After(d.Settled) {
				break
			}
			if at = o.Nominal; settled[at] == "" {
				t.Fatalf("%s neither fired nor was skipped", at)
			}
		}
	})
}
