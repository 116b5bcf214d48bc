package calendar

import "time"

// wall is a cron rule: readings of the clock on the wall in one zone.
type wall struct {
	cron    *Cron
	zone    zone
	closed  exclusions
	gap     Gap
	overlap Overlap
}

// fired are the readings of a span that the rule fires there: from up to, and
// without. In an overlap one of the two spans gives its share up.
func (w wall) fired(s span) (from, to reading) {
	from, to = s.begin(), s.end()
	if w.cron.elapsed {
		return from, to
	}
	if w.overlap == OverlapFirst && s.prior > s.offset {
		from = min(s.from+s.prior, to)
	}
	if w.overlap == OverlapSecond && s.later < s.offset {
		to = max(s.to+s.later, from)
	}
	return from, to
}

// seam are the readings that are missing before the span and are fired in their
// stead at its first instant: from up to, and without.
func (w wall) seam(s span) (from, to reading) {
	if w.cron.elapsed || w.gap == GapSkip {
		return 0, 0
	}
	return s.missing()
}

// stands says whether the rule fires at the seam.
func (w wall) stands(s span) bool {
	from, to := w.seam(s)
	return from < to && w.cron.next(from, to, w.closed) != never
}

func (w wall) next(after time.Time) (Occurrence, bool) {
	first, limit := floor(after)+1, horizonTo.Unix()
	for s := w.zone.at(first); ; s = w.zone.after(s) {
		gap := s.from >= first && w.stands(s)
		from, to := w.fired(s)
		// The limit keeps the search inside what the calendar knows: a span may
		// have no end.
		r := w.cron.next(max(from, first+s.offset), min(to, limit+s.offset), w.closed)
		if gap || r != never {
			return w.occurrence(s, r, gap), true
		}
		if s.to >= limit {
			return Occurrence{}, false
		}
	}
}

// occurrence is the fire at the seam, or at a reading; one if they coincide.
func (w wall) occurrence(s span, r reading, gap bool) Occurrence {
	if gap {
		return Occurrence{Nominal: time.Unix(s.from, 0).UTC(), InGap: true}
	}
	return Occurrence{Nominal: time.Unix(r-s.offset, 0).UTC(), InOverlap: s.again(r)}
}

func (w wall) last(upto time.Time) (Occurrence, bool) {
	final, limit := floor(upto), horizonFrom.Unix()
	for s := w.zone.at(final); ; s = w.zone.before(s) {
		from, to := w.fired(s)
		lower := max(from, limit+s.offset)
		r := w.cron.last(min(to-1, final+s.offset), lower, w.closed)
		gap := (r == before || r-s.offset == s.from) && s.from >= limit && w.stands(s)
		if gap || r != before {
			return w.occurrence(s, r, gap), true
		}
		if s.from <= limit {
			return Occurrence{}, false
		}
	}
}

func (w wall) count(after, upto time.Time) (n uint64) {
	first, final := floor(after)+1, floor(upto)
	if first > final {
		return 0
	}
	for s := w.zone.at(first); ; s = w.zone.after(s) {
		from, to := w.fired(s)
		n += w.cron.count(max(from, first+s.offset), min(to, final+1+s.offset), w.closed)
		if s.from >= first && w.stands(s) && !w.regular(s) {
			n++
		}
		if s.to > final {
			return n
		}
	}
}

// regular says whether the first instant of a span is fired for its own reading.
func (w wall) regular(s span) bool {
	from, to := w.fired(s)
	return from == s.begin() && w.cron.next(from, min(to, from+1), w.closed) == from
}
