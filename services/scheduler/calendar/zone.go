package calendar

import (
	"time"
	_ "time/tzdata" // a machine without zone files must not make every zone unknown
)

// Zone is a time zone by its IANA name; "" is UTC. "Local" is refused: it means
// something else on every replica.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, refuse("zone", "%q is no time zone of the IANA list (Europe/Prague)", name)
	}
	return l, nil
}

// Shift is a change of the clocks.
type Shift struct {
	At            time.Time     // the first instant with the new offset, in UTC
	Before, After time.Duration // offsets from UTC
}

// ShiftOn is the change of the clocks on the local date of an instant: that on which
// readings are missing, or come twice. False on a date without; of several changes it
// is the first. Where a whole date is missing it is that of the date after, and where
// the last readings of one are, the instant at which they fire is on it, too.
func ShiftOn(l *time.Location, t time.Time) (Shift, bool) {
	z := zone{l}
	s := z.at(t.Unix())
	day := date(t.Unix() + s.offset)
	for _, at := range []int64{s.from, s.to} {
		if at == before || at == never {
			continue
		}
		if prior, later := z.offset(at-1), z.offset(at); touches(day, at, prior, later) || prior != later && at == t.Unix() {
			return Shift{
				At:     time.Unix(at, 0).UTC(),
				Before: time.Duration(prior) * time.Second,
				After:  time.Duration(later) * time.Second,
			}, true
		}
	}
	return Shift{}, false
}

// touches says whether the clocks change on a date, when at an instant they go from
// one offset to another. A change at midnight touches the instants before and after
// it, which are of different dates, and the readings of one.
func touches(day, at, prior, later int64) bool {
	if prior == later {
		return false
	}
	from, to := date(at+min(prior, later)), date(at+max(prior, later)-1)
	if date(at-1+prior) < from && date(at+later) > to {
		from = date(at + later) // all of the date is missing
		to = from
	}
	return from <= day && day <= to
}
