package calendar

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"
)

// oracle walks through the minutes of a time and looks at the clock on the
// wall, as a person would. It knows nothing of spans, and takes what matches
// from robfig in UTC, where no clock ever jumps.
func oracle(r Rule, from, until time.Time) (all []time.Time) {
	const day = 24 * time.Hour
	match, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse("TZ=UTC " + r.Cron.String())
	if err != nil {
		panic(err)
	}
	shown := func(t time.Time) time.Time { return readingOf(t, r.Zone) }
	matches := func(after, upto time.Time) bool { return !match.Next(after).After(upto) }

	final := map[time.Time]time.Time{} // when the clock shows a reading for the last time
	for t := from.Add(-day); t.Before(until.Add(day)); t = t.Add(time.Minute) {
		final[shown(t)] = t
	}
	seen := shown(from.Add(-day)) // the highest reading so far
	for t := from.Add(-day); t.Before(until); t = t.Add(time.Minute) {
		now, jumped := shown(t), shown(t.Add(-time.Minute)).Add(time.Minute)
		exact := matches(now.Add(-time.Second), now)
		again := !now.After(seen) && t.After(from.Add(-day))
		gap := now.After(jumped) && matches(jumped.Add(-time.Second), now.Add(-time.Minute))
		var fire bool
		switch {
		case r.Cron.Elapsed():
			fire = exact
		case gap && r.Gap == GapFire:
			fire = true
		case r.Overlap == OverlapFirst:
			fire = exact && !again
		case r.Overlap == OverlapSecond:
			fire = exact && final[now].Equal(t)
		default:
			fire = exact
		}
		if fire && !t.Before(from) {
			all = append(all, t.UTC())
		}
		if now.After(seen) {
			seen = now
		}
	}
	return all
}

// readingOf is what the clock shows, as a time in UTC.
func readingOf(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// changes are the instants of 2026 at which clocks of these zones jump; the
// last three jump over, or back behind, midnight.
func changes(t testing.TB) map[string][]time.Time {
	found := map[string][]time.Time{}
	for _, name := range append([]string{"America/Scoresbysund", "America/Nuuk", "America/Asuncion"}, zones...) {
		l, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, l); ; {
			_, end := at.ZoneBounds()
			if end.IsZero() || end.Year() > 2026 {
				break
			}
			found[name] = append(found[name], end.UTC())
			at = end
		}
	}
	return found
}

// TM7: whatever the expression and the policies, three days around a change of
// the clocks look as they look to somebody who watches the clock.
func TestTM7WhatTheClockOnTheWallShows(t *testing.T) {
	t.Parallel()
	all := changes(t)
	var names []string
	for name := range all {
		if len(all[name]) > 0 {
			names = append(names, name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "zone")
		at := rapid.SampledFrom(all[name]).Draw(t, "change")
		r, err := Parse(Spec{
			Cron: expression(t), Zone: name,
			Gap:     rapid.SampledFrom([]string{"fire", "skip"}).Draw(t, "gap"),
			Overlap: rapid.SampledFrom([]string{"first", "second", "both"}).Draw(t, "overlap"),
		})
		if err != nil {
			t.Skip(err)
		}
		from, until := at.Add(-30*time.Hour), at.Add(30*time.Hour)
		var got []time.Time
		for _, o := range fires(r, from.Add(-time.Nanosecond), until) {
			got = append(got, o.Nominal)
		}
		if diff := cmp.Diff(oracle(r, from, until), got); diff != "" {
			t.Fatalf("%s in %s (-clock +calendar):\n%s", r.Cron, name, diff)
		}
		if n := r.Missed(from.Add(-time.Nanosecond), until.Add(-time.Nanosecond)); n != uint64(len(got)) {
			t.Fatalf("%s in %s: %d fires, %d counted", r.Cron, name, len(got), n)
		}
	})
}

// expression draws one of five fields that fires now and then.
func expression(t *rapid.T) string {
	minute := rapid.OneOf(rapid.Just("0"), rapid.Just("*/15"), rapid.Just("*"), rapid.Map(rapid.IntRange(0, 59), func(n int) string { return fmt.Sprint(n) }))
	hour := rapid.OneOf(rapid.Just("*"), rapid.Just("*/2"), rapid.Just("0,1,2,3,23"), rapid.Map(rapid.IntRange(0, 23), func(n int) string { return fmt.Sprint(n) }))
	day := rapid.SampledFrom([]string{"* * *", "* * sun", "* * 1-5", "29 * *", "1,25-31 * sat", "* mar,oct *", "*/2 * *", "? 1-6 ?"})
	return minute.Draw(t, "minute") + " " + hour.Draw(t, "hour") + " " + day.Draw(t, "days")
}
