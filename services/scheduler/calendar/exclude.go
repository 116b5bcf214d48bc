package calendar

import (
	"strings"
	"time"
)

// Exclusion is a set of local dates on which a rule does not fire: weekdays, a
// date, or a range of dates with both ends. A wall-clock fire belongs to the
// date of its reading, any other to the local date of its instant.
type Exclusion struct {
	weekdays    uint8 // one bit each, Sunday = 1; 0 = the range counts
	first, last int64 // days since 1970-01-01, both included
}

// exclusions are those of one rule.
type exclusions []Exclusion

func (x exclusions) contain(day int64) bool {
	for _, e := range x {
		if e.weekdays != 0 && e.weekdays&(1<<weekday(day)) != 0 ||
			e.weekdays == 0 && e.first <= day && day <= e.last {
			return true
		}
	}
	return false
}

// ParseExclusion reads one exclusion: a date ("2026-12-24"), dates with both
// ends ("2026-12-24..2027-01-01"), or weekdays ("saturday", "sat,sun",
// "fri-mon"). Case does not matter.
func ParseExclusion(text string) (Exclusion, error) {
	word := strings.ToLower(strings.TrimSpace(text))
	if word == "" || word[0] < '0' || word[0] > '9' {
		return weekdays(text, word)
	}
	from, to, ranged := strings.Cut(word, "..")
	if !ranged {
		to = from
	}
	first, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return Exclusion{}, notExcludable(text)
	}
	last, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return Exclusion{}, notExcludable(text)
	}
	if last.Before(first) {
		return Exclusion{}, refuse("exclude", "%q ends before it begins", text)
	}
	return Exclusion{first: date(first.Unix()), last: date(last.Unix())}, nil
}

// weekdays reads a list of days and ranges of days; a range may pass Saturday.
func weekdays(text, list string) (x Exclusion, err error) {
	for term := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(term, "-")
		if !ranged {
			to = from
		}
		first, known := dayNamed(from)
		last, alsoKnown := dayNamed(to)
		if !known || !alsoKnown {
			return Exclusion{}, notExcludable(text)
		}
		x.weekdays |= 1 << last
		for d := first; d != last; d = (d + 1) % 7 {
			x.weekdays |= 1 << d
		}
	}
	return x, nil
}

func dayNamed(text string) (time.Weekday, bool) {
	text = strings.TrimSpace(text)
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := strings.ToLower(d.String()); text == name || text == name[:3] {
			return d, true
		}
	}
	return 0, false
}

func notExcludable(text string) error {
	return refuse("exclude",
		"%q is no date (2026-12-24), dates (2026-12-24..2027-01-01) or weekdays (saturday, sat,sun, mon-fri)", text)
}
