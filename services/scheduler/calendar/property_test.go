package calendar

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// spec draws a rule of any kind, with and without bounds and exclusions.
func spec(t *rapid.T) Spec {
	s := Spec{
		Zone:    rapid.SampledFrom(append([]string{"", "America/St_Johns", "America/Scoresbysund", "Asia/Kolkata"}, zones...)).Draw(t, "zone"),
		Gap:     rapid.SampledFrom([]string{"", "skip"}).Draw(t, "gap"),
		Overlap: rapid.SampledFrom([]string{"", "second", "both"}).Draw(t, "overlap"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		s.Cron = expression(t)
	case 1:
		s.Cron = fmt.Sprintf("%s %s", rapid.SampledFrom([]string{"0", "7,44", "*/20"}).Draw(t, "second"), expression(t))
	case 2:
		s.Every = rapid.SampledFrom([]string{"7s", "47m", "15m", "36h", "1.5s"}).Draw(t, "every")
		s.Anchor = rapid.SampledFrom([]string{"", "2026-10-25T02:30", "2031-01-01"}).Draw(t, "anchor")
	}
	if rapid.Bool().Draw(t, "bounded") {
		s.Start, s.End = "2026-02-03", "2027-05-06 07:08"
	}
	if rapid.Bool().Draw(t, "excluding") {
		s.Exclude = rapid.SliceOfN(rapid.SampledFrom([]string{"sun", "2026-10-25", "2026-03-29", "2026-12-24..2027-01-06"}), 1, 3).Draw(t, "exclude")
	}
	return s
}

// Four things that are true of every rule at every time. The last is how
// Temporal tests its schedules: every second between two fires has the same
// next one.
func TestNextLastAndMissedAreOneOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := spec(t)
		r, err := Parse(s)
		if err != nil {
			t.Skip(err)
		}
		from := time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, "from"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		after := from
		for n := uint64(1); n <= 50; n++ {
			o, ok := r.Next(after)
			if !ok {
				if last, was := r.Last(horizonTo); was && last.Nominal.After(after) {
					t.Fatalf("%+v: nothing after %s, but the last is %s", s, after, last.Nominal)
				}
				return
			}
			if !o.Nominal.After(after) {
				t.Fatalf("%+v: next after %s is %s", s, after, o.Nominal)
			}
			if last, ok := r.Last(o.Nominal); !ok || last != o {
				t.Fatalf("%+v: next is %v, last up to there %v", s, o, last)
			}
			if last, ok := r.Last(o.Nominal.Add(-1)); ok && last.Nominal.After(after) {
				t.Fatalf("%+v: %s lies between %s and its next, %s", s, last.Nominal, after, o.Nominal)
			}
			if got := r.Missed(from, o.Nominal); got != n {
				t.Fatalf("%+v: %d fires from %s to %s, %d counted", s, n, from, o.Nominal, got)
			}
			between(t, r, after, o)
			after = o.Nominal
		}
	})
}

// between asks for the next fire from up to a hundred seconds on the way to it.
func between(t *rapid.T, r Rule, after time.Time, want Occurrence) {
	step := max(time.Second, want.Nominal.Sub(after)/100)
	for at := after; at.Before(want.Nominal); at = at.Add(step) {
		if o, ok := r.Next(at); !ok || o != want {
			t.Fatalf("the next fire is %v from %s and %v from %s", want, after, o, at)
		}
	}
}

// An offset is below the jitter, the same for the same question, and spread.
func TestTM8JitterIsDeterministicAndSpread(t *testing.T) {
	t.Parallel()
	r := Rule{Jitter: 10 * time.Second}
	at := time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)
	var buckets [10]int
	for i := range 10_000 {
		id := fmt.Sprintf("AA/report-%d", i)
		o := r.Offset(id, at)
		if o < 0 || o >= r.Jitter {
			t.Fatalf("%s: offset %s", id, o)
		}
		if again := r.Offset(id, at.In(time.FixedZone("", 7200))); again != o {
			t.Fatalf("%s: offset %s, and %s", id, o, again)
		}
		buckets[o/time.Second]++
	}
	for second, n := range buckets {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 10,000 fall into second %d", n, second)
		}
	}
	var days [10]int
	for day := range 10_000 {
		days[r.Offset("AA/report", at.AddDate(0, 0, day))/time.Second]++
	}
	for second, n := range days {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 10,000 days fall into second %d", n, second)
		}
	}
	if o := (Rule{}).Offset("x", at); o != 0 {
		t.Errorf("no jitter, and an offset of %s", o)
	}
}
