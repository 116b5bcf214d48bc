package calendar

import (
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Exclusion is a set of local dates on which a rule does not fire: a weekday, a
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

// ParseExclusion reads one exclusion: "saturday" or "sat", "2026-12-24", or
// "2026-12-24/2027-01-01" with both ends. Case does not matter.
func ParseExclusion(text string) (Exclusion, error) {
	word := strings.ToLower(strings.TrimSpace(text))
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := strings.ToLower(d.String()); word == name || word == name[:3] {
			return Exclusion{weekdays: 1 << d}, nil
		}
	}
	from, to, ranged := strings.Cut(word, "/")
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
		return Exclusion{}, fault.Field(fault.InvalidSchedule, "exclude", "%q ends before it begins", text)
	}
	return Exclusion{first: date(first.Unix()), last: date(last.Unix())}, nil
}

func notExcludable(text string) error {
	return fault.Field(fault.InvalidSchedule, "exclude",
		"%q is no date (2026-12-24), range of dates (2026-12-24/2027-01-01) or weekday (saturday)", text)
}
