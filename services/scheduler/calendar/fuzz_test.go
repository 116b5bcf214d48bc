package calendar

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Whatever stands in an expression: no panic, an error with a place that exists,
// or a rule that robfig reads the same way.
func FuzzParseCron(f *testing.F) {
	for _, text := range []string{
		"", "* * * * *", "0 30 6 * * MON-FRI", "@daily", "@every 1m", "TZ=", "CRON_TZ=UTC 1 2 3 4 5", "1,,2 * * * *",
		"*-5/3 * * * *", "59/59 23 31 12 ?", "0 0 30 2 *", "\x00 \xff * * *", "* * * * * * *", "1-2-3 * * * *", "1/2/3 * * * *",
	} {
		f.Add(text)
	}
	theirs := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCron(text)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.Code() != fault.InvalidSchedule || e.Details()["field"] != "cron" {
				t.Fatalf("%q: %v", text, err)
			}
			if at, err := strconv.Atoi(e.Details()["position"]); err != nil || at < 1 || at > len(text)+1 {
				t.Fatalf("%q: %v at position %d", text, e, at)
			}
			return
		}
		if c.String() != text {
			t.Fatalf("%q became %q", text, c)
		}
		their, err := theirs.Parse("TZ=UTC " + text)
		if err != nil {
			t.Fatalf("%q: robfig refuses it: %v", text, err)
		}
		after := time.Date(2026, 2, 27, 23, 59, 58, 0, time.UTC)
		for range 3 {
			o, ok := Rule{Cron: c}.Next(after)
			want := their.Next(after)
			if want.IsZero() { // robfig gives up after five years
				return
			}
			if !ok || !o.Nominal.Equal(want) {
				t.Fatalf("%q after %s: %v, robfig says %s", text, after, o, want)
			}
			after = want
		}
	})
}

// The text of a rule as a whole: no panic, and what is accepted fires.
func FuzzParse(f *testing.F) {
	f.Add("0 2 * * *", "", "", "Europe/Prague", "2026-03-01", "2027-01-01 12:00", "sat,sun", "5s")
	f.Add("", "15m", "", "", "2026-03-29 02:30", "", "2026-12-24..2027-01-01", "")
	f.Add("", "", "2026-10-25T02:30:00+02:00", "UTC", "", "", "mon-fri", "1ns")
	f.Fuzz(func(t *testing.T, expression, every, at, zone, start, end, exclude, jitter string) {
		s := Spec{Cron: expression, Every: every, At: at, Zone: zone, Start: start, End: end, Jitter: jitter}
		if exclude != "" {
			s.Exclude = []string{exclude}
		}
		r, err := Parse(s)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.Code() != fault.InvalidSchedule || e.Details()["field"] == "" {
				t.Fatalf("%+v: %v", s, err)
			}
			return
		}
		first, ok := r.Next(horizonFrom.Add(-1))
		if last, was := r.Last(horizonTo); !ok || !was || last.Nominal.Before(first.Nominal) {
			t.Fatalf("%+v: fires from %v (%v) to %v (%v)", s, first, ok, last, was)
		}
	})
}
