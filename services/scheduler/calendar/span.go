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

// at is the span that an instant lies in. Neighbours may have the same offset:
// a zone changes its name too, and package time ends spans at the turn of a year.
func (z zone) at(second int64) span {
	t := time.Unix(second, 0).In(z.Location)
	_, offset := t.Zone()
	s := span{from: before, to: never, offset: int64(offset), prior: int64(offset), later: int64(offset)}
	if from, _ := t.ZoneBounds(); !from.IsZero() {
		s.from = from.Unix()
		s.prior = z.offset(s.from - 1)
	}
	if s.to = z.end(t); s.to != never {
		s.later = z.offset(s.to)
	}
	return s
}

// end is the first second after the span of an instant. In a leap year beyond
// the zone's table package time (1.26) lets the last span of the year end after
// 365 days, a day before the next one begins; who walks from span to span would
// stand still there for ever.
func (z zone) end(t time.Time) int64 {
	_, end := t.ZoneBounds()
	if end.IsZero() {
		return never
	}
	_, further := end.ZoneBounds()
	if end.After(t) && (further.IsZero() || further.After(end)) {
		return end.Unix()
	}
	return time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
}

// after is the span that follows one, before the one that comes before: cut so
// that no instant lies in two, whatever package time says of turns of years.
func (z zone) after(s span) span {
	next := z.at(s.to)
	next.from, next.prior = s.to, s.offset
	return next
}

func (z zone) before(s span) span {
	last := z.at(s.from - 1)
	last.to, last.later = s.from, s.offset
	return last
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
	for s := z.at(r - day); ; s = z.after(s) {
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
