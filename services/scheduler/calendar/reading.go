package calendar

import (
	"math/bits"
	"time"
)

// A reading is what a clock on the wall shows, as seconds since its own
// 1970-01-01 00:00:00. All days have 86,400 of them: gaps and overlaps are a
// matter of which instants show a reading, and no matter of this file.
type reading = int64

const secondsPerDay = 86_400

// date and clock take a reading apart: the days since 1970-01-01, and the
// seconds since midnight.
func date(r reading) int64 {
	d := r / secondsPerDay
	if r%secondsPerDay < 0 {
		d--
	}
	return d
}

func clock(r reading) int { return int(r - date(r)*secondsPerDay) }

// civil is a date as people write it.
func civil(day int64) (year int, month time.Month, dom int) {
	return time.Unix(day*secondsPerDay, 0).UTC().Date()
}

func weekday(day int64) time.Weekday {
	const thursday = 4 // 1970-01-01
	return time.Weekday(((day+thursday)%7 + 7) % 7)
}

func dayOf(year int, month time.Month, dom int) int64 {
	return time.Date(year, month, dom, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay
}

// next is the first reading at or after r, and before limit, that the
// expression matches on a date that is not closed; never if there is none.
func (c *Cron) next(r, limit reading, closed exclusions) reading {
	day := date(r)
	if c.open(day, closed) {
		if t, ok := c.clockFrom(clock(r)); ok {
			return below(day*secondsPerDay+int64(t), limit)
		}
	}
	first, _ := c.clockFrom(0)
	for day++; day*secondsPerDay < limit; day++ {
		year, month, dom := civil(day)
		if c.months&(1<<month) == 0 {
			day = dayOf(year, month+1, 1) - 1
			continue
		}
		if c.matches(day, dom) && !closed.contain(day) {
			return below(day*secondsPerDay+int64(first), limit)
		}
	}
	return never
}

func below(r, limit reading) reading {
	if r < limit {
		return r
	}
	return never
}

// last is the last reading at or before r, and not before limit, that the
// expression matches on a date that is not closed; before if there is none.
func (c *Cron) last(r, limit reading, closed exclusions) reading {
	day := date(r)
	if c.open(day, closed) {
		if t, ok := c.clockUpto(clock(r)); ok {
			return notBelow(day*secondsPerDay+int64(t), limit)
		}
	}
	final, _ := c.clockUpto(secondsPerDay - 1)
	for day--; (day+1)*secondsPerDay > limit; day-- {
		year, month, dom := civil(day)
		if c.months&(1<<month) == 0 {
			day = dayOf(year, month, 1)
			continue
		}
		if c.matches(day, dom) && !closed.contain(day) {
			return notBelow(day*secondsPerDay+int64(final), limit)
		}
	}
	return before
}

func notBelow(r, limit reading) reading {
	if r >= limit {
		return r
	}
	return before
}

// count is how many readings from one up to, and without, another match.
func (c *Cron) count(from, to reading, closed exclusions) uint64 {
	if from >= to {
		return 0
	}
	whole := uint64(bits.OnesCount64(c.hours) * bits.OnesCount64(c.minutes) * bits.OnesCount64(c.seconds))
	var n uint64
	for day := date(from); day <= date(to-1); day++ {
		if !c.open(day, closed) {
			continue
		}
		n += whole
		if day == date(from) {
			n -= c.clocksBelow(clock(from))
		}
		if day == date(to-1) {
			n -= whole - c.clocksBelow(clock(to-1)+1)
		}
	}
	return n
}

// open says whether the expression matches on a date that is not closed.
func (c *Cron) open(day int64, closed exclusions) bool {
	_, month, dom := civil(day)
	return c.months&(1<<month) != 0 && c.matches(day, dom) && !closed.contain(day)
}

// matches is cron's rule for the two day fields: where both are restricted,
// either may match; otherwise both must (one of them is a star, and does).
func (c *Cron) matches(day int64, dom int) bool {
	inMonth := c.doms&(1<<dom) != 0
	inWeek := c.dows&(1<<weekday(day)) != 0
	if c.anyDom || c.anyDow {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// clockFrom is the first matching time of day at or after t, in seconds.
func (c *Cron) clockFrom(t int) (int, bool) {
	h, m, s := t/3600, t/60%60, t%60
	if c.hours&(1<<h) != 0 {
		if c.minutes&(1<<m) != 0 {
			if second := from(c.seconds, s); second < 64 {
				return h*3600 + m*60 + second, true
			}
		}
		if minute := from(c.minutes, m+1); minute < 64 {
			return h*3600 + minute*60 + from(c.seconds, 0), true
		}
	}
	if hour := from(c.hours, h+1); hour < 64 {
		return hour*3600 + from(c.minutes, 0)*60 + from(c.seconds, 0), true
	}
	return 0, false
}

// clockUpto is the last matching time of day at or before t, in seconds.
func (c *Cron) clockUpto(t int) (int, bool) {
	h, m, s := t/3600, t/60%60, t%60
	if c.hours&(1<<h) != 0 {
		if c.minutes&(1<<m) != 0 {
			if second := upto(c.seconds, s); second >= 0 {
				return h*3600 + m*60 + second, true
			}
		}
		if minute := upto(c.minutes, m-1); minute >= 0 {
			return h*3600 + minute*60 + upto(c.seconds, 59), true
		}
	}
	if hour := upto(c.hours, h-1); hour >= 0 {
		return hour*3600 + upto(c.minutes, 59)*60 + upto(c.seconds, 59), true
	}
	return 0, false
}

// clocksBelow is how many matching times of day are before t, in seconds.
func (c *Cron) clocksBelow(t int) uint64 {
	h, m, s := t/3600, t/60%60, t%60
	n := lower(c.hours, h) * bits.OnesCount64(c.minutes) * bits.OnesCount64(c.seconds)
	if c.hours&(1<<h) != 0 {
		n += lower(c.minutes, m) * bits.OnesCount64(c.seconds)
		if c.minutes&(1<<m) != 0 {
			n += lower(c.seconds, s)
		}
	}
	return uint64(n)
}

// from is the lowest member that is i or more (64 = none), upto the highest
// that is i or less (-1 = none), lower how many are less than i.
func from(set uint64, i int) int { return bits.TrailingZeros64(set >> i << i) }

func upto(set uint64, i int) int { return bits.Len64(set&(1<<(i+1)-1)) - 1 }

func lower(set uint64, i int) int { return bits.OnesCount64(set & (1<<i - 1)) }
