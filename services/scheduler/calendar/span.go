package calendar

import "time"

// zone reads a time zone as a row of spans.
type zone struct{ *time.Location }

// span is a stretch of instants with one offset from UTC: from is the first
// second, to the first of the next span (before and never where there is none).
type span struct {
	from, to int64
	offset   int64
	// prior and later are the offsets of the neighbours (its own at the ends).
	prior, later int64
}

// at is the span that an instant lies in.
func (z zone) at(second int64) span {
	t := time.Unix(second, 0).In(z.Location)
	_, offset := t.Zone()
	s := span{from: before, to: never, offset: int64(offset), prior: int64(offset), later: int64(offset)}
	from, to := t.ZoneBounds()
	if !from.IsZero() {
		s.from = from.Unix()
		s.prior = z.offset(s.from - 1)
	}
	if !to.IsZero() {
		s.to = to.Unix()
		s.later = z.offset(s.to)
	}
	return s
}

func (z zone) offset(second int64) int64 {
	_, offset := time.Unix(second, 0).In(z.Location).Zone()
	return int64(offset)
}

// begin is the first reading that the span shows, end the first it does not.
func (s span) begin() reading {
	if s.from == before {
		return before
	}
	return s.from + s.offset
}

func (s span) end() reading {
	if s.to == never {
		return never
	}
	return s.to + s.offset
}

// again says whether the span before, or the one after, shows this reading too.
func (s span) again(r reading) bool {
	return s.from != before && r < s.from+s.prior || s.to != never && r >= s.to+s.later
}

// missing are the readings that no clock shows between the span before and this
// one: from up to, and without. Empty unless the clocks went forward.
//
// A date of which nothing exists (Samoa had no 30 December 2011) is not missing
// from the clock but from the calendar, and nothing is fired for it.
func (s span) missing() (from, to reading) {
	if s.from == before || s.offset <= s.prior {
		return 0, 0
	}
	from, to = s.from+s.prior, s.from+s.offset
	if next := (date(from-1) + 1) * secondsPerDay; date(to)-date(from-1) > 1 {
		// Only what is missing from a date of which something was there.
		if from < next {
			return from, next
		}
		return date(to) * secondsPerDay, to
	}
	return from, to
}

// resolve are the instants that show a reading: none in a gap, two in an
// overlap. Changed is then the instant at which the clocks went forward.
func (z zone) resolve(r reading) (at []int64, changed int64) {
	const day = secondsPerDay // no offset is further from UTC
	for s := z.at(r - day); ; s = z.at(s.to) {
		if s.begin() <= r && r < s.end() {
			at = append(at, r-s.offset)
		}
		if s.from != before && s.from+s.prior <= r && r < s.from+s.offset {
			changed = s.from
		}
		if s.to == never || s.to > r+day {
			return at, changed
		}
	}
}
