package calendar

import "time"

// every is the rule of elapsed time: its anchor, and whole intervals from it.
type every struct {
	interval time.Duration
	anchor   time.Time
	zone     zone
	closed   exclusions
}

func (e every) next(after time.Time) (Occurrence, bool) {
	for {
		t := e.upto(after).Add(e.interval)
		if !t.Before(horizonTo) {
			return Occurrence{}, false
		}
		d := e.zone.dayAt(t)
		if !e.closed.contain(d.date) {
			return Occurrence{Nominal: t.UTC()}, true
		}
		after = d.end.Add(-1)
	}
}

func (e every) last(upto time.Time) (Occurrence, bool) {
	for {
		t := e.upto(upto)
		if t.Before(horizonFrom) {
			return Occurrence{}, false
		}
		d := e.zone.dayAt(t)
		if !e.closed.contain(d.date) {
			return Occurrence{Nominal: t.UTC()}, true
		}
		upto = d.begin.Add(-1)
	}
}

// count takes what falls on closed dates from what there is in all.
func (e every) count(after, upto time.Time) uint64 {
	n := e.between(after, upto)
	if len(e.closed) == 0 {
		return n
	}
	for t := after.Add(1); !t.After(upto); {
		d := e.zone.dayAt(t)
		if e.closed.contain(d.date) {
			n -= e.between(t.Add(-1), earliest(upto, d.end.Add(-1)))
		}
		t = d.end
	}
	return n
}

// between is the number of fires after one time and up to another.
func (e every) between(after, upto time.Time) uint64 {
	return uint64(e.upto(upto).Sub(e.upto(after)) / e.interval)
}

// upto is the last fire at or before a time, closed dates or not. Years 1970 to
// 2199 are 230, and a Duration holds 292.
func (e every) upto(t time.Time) time.Time {
	d := t.Sub(e.anchor)
	over := d % e.interval
	if over < 0 {
		over += e.interval
	}
	return e.anchor.Add(d - over)
}

// stretch is a stretch of instants with one local date and one offset: a date
// on which the clocks change has two of them.
type stretch struct {
	date       int64
	begin, end time.Time
}

func (z zone) dayAt(t time.Time) stretch {
	s := z.at(t.Unix())
	d := date(t.Unix() + s.offset)
	return stretch{
		date:  d,
		begin: time.Unix(max(s.from, d*secondsPerDay-s.offset), 0),
		end:   time.Unix(min(s.to, (d+1)*secondsPerDay-s.offset), 0),
	}
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
