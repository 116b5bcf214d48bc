package calendar

import (
	"fmt"
	"testing"
	"time"
)

// The zones in which the clocks do what they do elsewhere only in theory: a gap
// at midnight (Cairo, Havana, Beirut, Santiago), half an hour (Lord Howe), two
// hours (Troll), an hour back for Ramadan (Casablanca, Gaza), an odd offset
// (Chatham), winter time as the exception (Dublin).
var zones = []string{
	"Europe/Prague", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut",
	"America/Santiago", "Africa/Casablanca", "Antarctica/Troll", "Asia/Gaza", "Pacific/Chatham", "Europe/Dublin",
}

// TM7, without an exception: every quarter of an hour as a daily rule, in every
// one of these zones, on every day of 2026, fires once per local date: at the
// reading it names, or at the instant at which the clock jumped over it.
func TestTM7OncePerLocalDateInEveryZone(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		for quarter := range 96 {
			h, m := quarter/4, quarter%4*15
			r := parse(t, Spec{Cron: fmt.Sprintf("%d %d * * *", m, h), Zone: name})
			day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // a date, not an instant
			after := time.Date(2026, 1, 1, 0, 0, 0, 0, r.Zone).Add(-time.Nanosecond)
			for ; day.Year() == 2026; day = day.AddDate(0, 0, 1) {
				o, ok := r.Next(after)
				if !ok {
					t.Fatalf("%s %02d:%02d: no fire after %s", name, h, m, after)
				}
				local := o.Nominal.In(r.Zone)
				if local.Format(time.DateOnly) != day.Format(time.DateOnly) {
					t.Fatalf("%s %02d:%02d: fires at %s, want the local date %s", name, h, m, local, day.Format(time.DateOnly))
				}
				wanted := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
				if shown := sinceMidnight(local); shown != wanted {
					before := sinceMidnight(o.Nominal.Add(-time.Second).In(r.Zone))
					if jumped := before < wanted || before > shown; !o.InGap || !jumped || shown < wanted {
						t.Fatalf("%s %02d:%02d: fires at %s, which is not where the clock jumped over it", name, h, m, local)
					}
				}
				if last, ok := r.Last(o.Nominal.Add(time.Hour)); !ok || last != o {
					t.Fatalf("%s %02d:%02d: the last fire after %v is %v", name, h, m, o, last)
				}
				after = o.Nominal
			}
			if n := r.Missed(time.Date(2026, 1, 1, 0, 0, 0, 0, r.Zone).Add(-1), after); n != 365 {
				t.Fatalf("%s %02d:%02d: %d fires counted in the year", name, h, m, n)
			}
		}
	}
}

// sinceMidnight is what the clock shows, not the time elapsed.
func sinceMidnight(local time.Time) time.Duration {
	h, m, s := local.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
}

func BenchmarkNext(b *testing.B) {
	for name, s := range map[string]Spec{
		"daily":    {Cron: "30 2 * * *", Zone: "Europe/Prague"},
		"minutely": {Cron: "*/2 * * * *", Zone: "Europe/Prague"},
		"leap day": {Cron: "0 0 29 2 *", Zone: "Europe/Prague"},
		"interval": {Every: "15m"},
	} {
		r := parse(b, s)
		b.Run(name, func(b *testing.B) {
			after := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				if o, _ := r.Next(after); o.Nominal.Year() < 2030 {
					after = o.Nominal
				}
			}
		})
	}
}
