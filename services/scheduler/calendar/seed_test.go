package calendar

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TM2 and TM7: the times of the AyMINE text, on the days of 2026 when the
// clocks change. NightControl2 and 3 stand exactly on Prague's change,
// nightControl1 and 2 on New York's.
func TestTM2EveryTimeOfTheTextOnDaysOfChange(t *testing.T) {
	t.Parallel()
	times := []string{
		"00:02", "01:00", "02:00", "03:00", "04:00", "05:00", "05:30", "07:00",
		"12:02", "13:12", "18:00", "21:21", "22:22", "23:23",
	}
	for _, c := range []struct{ zone, day, reading, at string }{
		{"Europe/Prague", "2026-03-29", "02:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Prague", "2026-10-25", "02:00", "2026-10-25T02:00:00+02:00"},
		{"America/New_York", "2026-03-08", "02:00", "2026-03-08T03:00:00-04:00"},
		{"America/New_York", "2026-11-01", "01:00", "2026-11-01T01:00:00-04:00"},
	} {
		for _, reading := range times {
			var h, m int
			if _, err := fmt.Sscanf(reading, "%d:%d", &h, &m); err != nil {
				t.Fatal(err)
			}
			r := parse(t, Spec{Cron: fmt.Sprintf("%d %d * * *", m, h), Zone: c.zone})
			from, _ := r.instant("day", c.day)
			until := from.In(r.Zone).AddDate(0, 0, 1)
			all := fires(r, from.Add(-1), until)
			want := c.at
			if reading != c.reading {
				want = c.day + "T" + reading + ":00" + zoneAt(r.Zone, from, c.day, reading)
			}
			if len(all) != 1 || all[0].Nominal.In(r.Zone).Format(time.RFC3339) != want {
				t.Errorf("%s in %s: %v, want %s", reading, c.zone, clocks(r, all), want)
			}
		}
	}
}

// zoneAt is the offset of a reading that exists once.
func zoneAt(l *time.Location, from time.Time, day, reading string) string {
	for at := from; ; at = at.Add(time.Minute) {
		if local := at.In(l); local.Format("2006-01-02 15:04") == day+" "+reading {
			return local.Format("Z07:00")
		}
	}
}

// A wildcard hour means elapsed time: no silence and no doubles where the
// clocks go back (systemd, gronx and go-quartz fall silent for an hour).
func TestTM7WildcardHourIsElapsedTime(t *testing.T) {
	t.Parallel()
	for _, day := range []string{"2026-03-29", "2026-10-25"} {
		r := parse(t, Spec{Cron: "*/2 * * * *", Zone: "Europe/Prague", Gap: "skip", Overlap: "both"})
		from, _ := r.instant("day", day)
		until := from.In(r.Zone).AddDate(0, 0, 1)
		all := fires(r, from.Add(-1), until)
		if want := int(until.Sub(from) / (2 * time.Minute)); len(all) != want {
			t.Errorf("%s: %d fires, want %d", day, len(all), want)
		}
		for i := range len(all) - 1 {
			if d := all[i+1].Nominal.Sub(all[i].Nominal); d != 2*time.Minute {
				t.Errorf("%s: %s after %s", day, d, all[i].Nominal)
			}
		}
	}
}

// The policies, one after the other, on a day with a gap and one with an overlap.
func TestTM7Policies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gap, overlap string
		want         []string
	}{
		{"", "", []string{"03-29 03:00:00 +0200", "10-25 02:30:00 +0200"}},
		{"skip", "first", []string{"10-25 02:30:00 +0200"}},
		{"fire", "second", []string{"03-29 03:00:00 +0200", "10-25 02:30:00 +0100"}},
		{"skip", "both", []string{"10-25 02:30:00 +0200", "10-25 02:30:00 +0100"}},
	} {
		r := parse(t, Spec{Cron: "30 2 29 3 *", Zone: "Europe/Prague", Gap: c.gap, Overlap: c.overlap})
		autumn := parse(t, Spec{Cron: "30 2 25 10 *", Zone: "Europe/Prague", Gap: c.gap, Overlap: c.overlap})
		from, until := instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-01-01T00:00:00Z")
		all := append(fires(r, from, until), fires(autumn, from, until)...)
		if diff := cmp.Diff(c.want, clocks(r, all)); diff != "" {
			t.Errorf("gap %q, overlap %q:\n%s", c.gap, c.overlap, diff)
		}
		for _, o := range all {
			if o.InGap != (o.Nominal.Month() == time.March) || o.InOverlap != (o.Nominal.Month() == time.October) {
				t.Errorf("%+v is marked wrongly", o)
			}
		}
	}
}

// The change of the clocks is found on the date that is shorter or longer for it,
// seen from any hour of it, and on no other: also where it is at midnight.
func TestShiftOn(t *testing.T) {
	t.Parallel()
	for name, at := range changes(t) {
		l, _ := Zone(name)
		for _, change := range at {
			_, before := change.Add(-time.Second).In(l).Zone()
			_, after := change.In(l).Zone()
			want := Shift{change, time.Duration(before) * time.Second, time.Duration(after) * time.Second}
			for hour := -48; hour <= 48; hour++ {
				for _, seen := range []time.Time{change.Add(time.Duration(hour) * time.Hour), change.Add(time.Duration(hour)*time.Hour - time.Second)} {
					odd := lengthOf(l, seen) != 24*time.Hour || seen.Equal(change) && before != after
					if got, ok := ShiftOn(l, seen); ok != odd || ok && got != want {
						t.Errorf("%s, %s: %v %v, want %t %v", name, seen.In(l), got, ok, odd, want)
					}
				}
			}
		}
	}
	if _, ok := ShiftOn(time.UTC, time.Unix(0, 0)); ok {
		t.Error("UTC changes")
	}
	samoa, err := Zone("Pacific/Apia") // it had no 30 December 2011
	if err != nil {
		t.Fatal(err)
	}
	for seen, want := range map[string]bool{"2011-12-30T09:59:59Z": false, "2011-12-30T10:00:00Z": true, "2011-12-31T10:00:00Z": false} {
		at, _ := time.Parse(time.RFC3339, seen)
		if got, ok := ShiftOn(samoa, at); ok != want {
			t.Errorf("%s: %v %t", at.In(samoa), got, ok)
		}
	}
}

// lengthOf is how long the local date of an instant is, by looking at the wall every
// quarter of an hour: nobody's midnight is between two.
func lengthOf(l *time.Location, at time.Time) (d time.Duration) {
	const step = 15 * time.Minute
	day := at.In(l).Format(time.DateOnly)
	for seen := at.Add(-27 * time.Hour).Truncate(step); seen.Before(at.Add(27 * time.Hour)); seen = seen.Add(step) {
		if seen.In(l).Format(time.DateOnly) == day {
			d += step
		}
	}
	return d
}
