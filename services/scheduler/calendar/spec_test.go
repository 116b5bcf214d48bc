package calendar

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Whatever is wrong has the one code, names its field, and in an expression its
// place.
func TestTM8WhatIsRefusedAndWhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec            Spec
		field, position string
		says            string
	}{
		{Spec{}, "cron", "", "one of cron, every and at is required"},
		{Spec{Cron: "   "}, "cron", "1", "is empty"},
		{Spec{Cron: "@daily", Every: "1m"}, "every", "", "one of"},
		{Spec{Cron: "* * * *"}, "cron", "8", "ends after 4 fields"},
		{Spec{Cron: "* * * * * * *"}, "cron", "13", "more than six"},
		{Spec{Cron: "61 * * * *"}, "cron", "1", `"61" is no minute`},
		{Spec{Cron: "0 10,24 * * *"}, "cron", "6", `"24" is no hour`},
		{Spec{Cron: "0 0 0 * *"}, "cron", "5", `"0" is no day of month`},
		{Spec{Cron: "0  0 1  foo *"}, "cron", "9", `"foo" is no month`},
		{Spec{Cron: "0 0 * * 1-7"}, "cron", "9", `"1-7" is no day of week`},
		{Spec{Cron: "60 0 0 * * *"}, "cron", "1", `"60" is no second`},
		{Spec{Cron: "5-1 * * * *"}, "cron", "1", `"5-1"`},
		{Spec{Cron: "*/0 * * * *"}, "cron", "1", `"*/0"`},
		{Spec{Cron: "*/90 * * * *"}, "cron", "1", `"*/90"`},
		{Spec{Cron: "*-5 * * * *"}, "cron", "1", `"*-5"`},
		{Spec{Cron: "1,,2 * * * *"}, "cron", "3", `"" is no minute`},
		{Spec{Cron: "+5 * * * *"}, "cron", "1", `"+5"`},
		{Spec{Cron: "0 0 L * *"}, "cron", "5", `"L"`},
		{Spec{Cron: "TZ=UTC"}, "cron", "1", "zone"},
		{Spec{Cron: "CRON_TZ=UTC 0 0 * * *"}, "cron", "1", "zone"},
		{Spec{Cron: "@every 1m"}, "cron", "1", "set every instead"},
		{Spec{Cron: "@reboot"}, "cron", "1", "@reboot"},
		{Spec{Cron: "@daily 5"}, "cron", "8", "nothing follows"},
		{Spec{Cron: "0 0 30 2 *"}, "cron", "5", "never fires"},
		{Spec{Cron: "0 0 31 4,6,9,11 *"}, "cron", "5", "never fires"},
		{Spec{Cron: "0  0 0 31 feb ?"}, "cron", "8", "never fires"},
		{Spec{Every: "500ms"}, "every", "", "not between"},
		{Spec{Every: "tomorrow"}, "every", "", "no duration"},
		{Spec{Every: "-1m"}, "every", "", "not between"},
		{Spec{Every: "900000h"}, "every", "", "not between"},
		{Spec{Cron: "@daily", Anchor: "2026-01-01"}, "anchor", "", "goes with every"},
		{Spec{At: "2026-13-01"}, "at", "", "is no time"},
		{Spec{At: "1969-12-31"}, "at", "", "1970 to 2199"},
		{Spec{At: "2026-01-01", End: "2027-01-01"}, "at", "", "fires once"},
		{Spec{At: "2026-03-29 02:30", Zone: "Europe/Prague", Gap: "skip"}, "at", "", "does not exist"},
		{Spec{Cron: "@daily", Zone: "Europe/Brno"}, "zone", "", "Europe/Brno"},
		{Spec{Cron: "@daily", Zone: "Local"}, "zone", "", "Local"},
		{Spec{Cron: "@daily", Zone: "../../etc/passwd"}, "zone", "", "no time zone"},
		{Spec{Cron: "@daily", Zone: "+02:00"}, "zone", "", "no time zone"},
		{Spec{Cron: "@daily", Start: "2026-02-01", End: "2026-02-01"}, "end", "", "not after start"},
		{Spec{Cron: "0 0 1 1 *", Start: "2026-02-01", End: "2026-03-01"}, "end", "", "never fires"},
		{Spec{Cron: "0 0 * * sat", Exclude: []string{"fri-sun"}}, "exclude", "", "leaves no date"},
		{Spec{Every: "1h", Exclude: []string{"sun-sat"}}, "exclude", "", "leaves no date"},
		{Spec{Cron: "@daily", Exclude: []string{"2026-02-30"}}, "exclude", "", "no date"},
		{Spec{Cron: "@daily", Exclude: []string{"2026-02-03..2026-02-01"}}, "exclude", "", "ends before"},
		{Spec{Cron: "@daily", Exclude: []string{""}}, "exclude", "", "no date"},
		{Spec{Cron: "@daily", Exclude: make([]string, 400)}, "exclude", "", "more than 366"},
		{Spec{Cron: "@daily", Jitter: "25h"}, "jitter", "", "not between"},
		{Spec{Cron: "@daily", Gap: "both"}, "gap", "", "neither fire nor skip"},
		{Spec{Cron: "@daily", Overlap: "skip"}, "overlap", "", "none of"},
	} {
		_, err := Parse(c.spec)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code() != fault.InvalidSchedule {
			t.Errorf("%+v: %v", c.spec, err)
			continue
		}
		if d := f.Details(); d["field"] != c.field || d["position"] != c.position || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, details %v; want field %q, position %q, %q", c.spec, err, d, c.field, c.position, c.says)
		}
	}
}

// The expressions that people write, and what they mean.
func TestTM8WhatIsAccepted(t *testing.T) {
	t.Parallel()
	from := instant(t, "2026-06-03T10:20:30Z") // a Wednesday
	for expression, want := range map[string]string{
		"30 6 * * MON-FRI":   "06-04 06:30:00 +0000",
		"0 0 1,15 * *":       "06-15 00:00:00 +0000",
		"0 12 13 * fri":      "06-05 12:00:00 +0000", // either day field suffices
		"*/15 * * * *":       "06-03 10:30:00 +0000",
		"5/20 * * * *":       "06-03 10:25:00 +0000",
		"*/60 * * * *":       "06-03 11:00:00 +0000",
		"*/10 * * * * *":     "06-03 10:20:40 +0000",
		"0 0 ? jan ?":        "01-01 00:00:00 +0000",
		"\t0 \t9-17/4 * * *": "06-03 13:00:00 +0000",
		"@Hourly":            "06-03 11:00:00 +0000",
		"@weekly":            "06-07 00:00:00 +0000",
		"@monthly":           "07-01 00:00:00 +0000",
		"@yearly":            "01-01 00:00:00 +0000",
		"0 0 29 2 *":         "02-29 00:00:00 +0000", // of 2028
	} {
		r := parse(t, Spec{Cron: expression})
		o, _ := r.Next(from)
		if got := clocks(r, []Occurrence{o})[0]; got != want || r.Cron.String() != expression {
			t.Errorf("%q fires at %s, want %s", expression, got, want)
		}
	}
}

// A time without an offset is read in the rule's zone, under its policies.
func TestTM8TimesAreReadInTheZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, gap, overlap, want string }{
		{"2026-06-01T12:00:00Z", "", "", "2026-06-01T12:00:00Z"},
		{"2026-06-01 12:00", "", "", "2026-06-01T10:00:00Z"},
		{"2026-06-01T12:00:30", "", "", "2026-06-01T10:00:30Z"},
		{"2026-06-01", "", "", "2026-05-31T22:00:00Z"},
		{"2026-03-29 02:30", "", "", "2026-03-29T01:00:00Z"},
		{"2026-10-25 02:30", "", "", "2026-10-25T00:30:00Z"},
		{"2026-10-25 02:30", "", "second", "2026-10-25T01:30:00Z"},
		{"2026-10-25T02:30:00+01:00", "", "", "2026-10-25T01:30:00Z"},
	} {
		r := parse(t, Spec{At: c.at, Gap: c.gap, Overlap: c.overlap, Zone: "Europe/Prague"})
		if want := instant(t, c.want); !r.At.Equal(want) {
			t.Errorf("%+v is %s", c, r.At)
		}
		if got := fires(r, r.At.Add(-time.Hour), r.At.Add(time.Hour)); len(got) != 1 || r.Missed(r.At.Add(-1), r.At) != 1 || r.Missed(r.At, r.At.Add(1)) != 0 {
			t.Errorf("%+v fires %v", c, got)
		}
		if _, ok := r.Next(r.At); ok {
			t.Errorf("%+v fires again", c)
		}
	}
}

// Start is in, end is out, and nothing fires on an excluded date; a fire that a
// gap has put off belongs to the date of its reading.
func TestTM8BoundsAndExclusions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec        Spec
		from, until string
		want        []string
	}{
		{
			Spec{Cron: "0 7 * * *", Start: "2026-12-23 07:00", End: "2026-12-30 07:00", Exclude: []string{"2026-12-24..2026-12-26", "sun", "2026-12-29"}},
			"2026-12-01", "2027-02-01",
			[]string{"12-23 07:00:00 +0100", "12-28 07:00:00 +0100"},
		},
		{
			Spec{Every: "6h", Exclude: []string{"sat,sun"}, Anchor: "2026-06-01"},
			"2026-06-05", "2026-06-08 01:00",
			[]string{"06-05 00:00:00 +0200", "06-05 06:00:00 +0200", "06-05 12:00:00 +0200", "06-05 18:00:00 +0200", "06-08 00:00:00 +0200"},
		},
		{
			Spec{Cron: "30 23 * * *", Zone: "America/Scoresbysund", Exclude: []string{"2026-03-29"}},
			"2026-03-28 12:00", "2026-03-31",
			[]string{"03-29 00:00:00 -0100", "03-30 23:30:00 -0100"},
		},
		{ // There was no 30 December: it is not missing from the clock but from the calendar.
			Spec{Cron: "0 12 * * *", Zone: "Pacific/Apia"},
			"2011-12-29", "2012-01-01",
			[]string{"12-29 12:00:00 -1000", "12-31 12:00:00 +1400"},
		},
		{ // Two readings are missing; the clock jumped over both at once.
			Spec{Cron: "0,30 2,3 * * *"},
			"2026-03-29", "2026-03-30",
			[]string{"03-29 03:00:00 +0200", "03-29 03:30:00 +0200"},
		},
	} {
		if c.spec.Zone == "" {
			c.spec.Zone = "Europe/Prague"
		}
		r := parse(t, c.spec)
		from, _ := r.instant("from", c.from)
		until, _ := r.instant("until", c.until)
		all := fires(r, from.Add(-1), until)
		if diff := cmp.Diff(c.want, clocks(r, all)); diff != "" {
			t.Errorf("%+v:\n%s", c.spec, diff)
		}
		if n := r.Missed(from.Add(-1), until.Add(-1)); n != uint64(len(c.want)) {
			t.Errorf("%+v: %d counted", c.spec, n)
		}
	}
}
