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

// ShiftOn is the change of the clocks on the local date of an instant; false on
// a date without. Of several it is the first.
func ShiftOn(l *time.Location, t time.Time) (Shift, bool) {
	z := zone{l}
	s := z.at(t.Unix())
	day := date(t.Unix() + s.offset)
	for _, at := range []int64{s.from, s.to} {
		if at == before || at == never {
			continue
		}
		prior, later := z.offset(at-1), z.offset(at)
		if prior != later && (date(at-1+prior) == day || date(at+later) == day) {
			return Shift{
				At:     time.Unix(at, 0).UTC(),
				Before: time.Duration(prior) * time.Second,
				After:  time.Duration(later) * time.Second,
			}, true
		}
	}
	return Shift{}, false
}
