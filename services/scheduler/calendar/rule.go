package calendar

import (
	"math"
	"time"
)

// Rule says when a schedule fires. Exactly one of Cron, Every and At is set;
// [Parse] makes rules that are complete, and only those are valid.
type Rule struct {
	Cron   *Cron         // wall-clock times
	Every  time.Duration // a fixed interval of elapsed time
	Anchor time.Time     // Every: one of its fires; zero = Start, and without that 1970-01-01T00:00Z
	At     time.Time     // one instant

	Zone    *time.Location // where wall-clock times and dates are read; nil = UTC
	Start   time.Time      // no fire before it (it is included); zero = none
	End     time.Time      // no fire from it on (it is excluded); zero = none
	Exclude []Exclusion    // local dates on which nothing fires
	Jitter  time.Duration  // see [Rule.Offset]; 0 = none

	Gap     Gap     // Cron with a fixed hour: what happens to a reading that is missing
	Overlap Overlap // Cron with a fixed hour: what happens to a reading that comes twice
}

// Gap is what a rule does with a reading of the wall clock that is missing on
// the day the clocks go forward.
type Gap uint8

// The policies for a gap.
const (
	GapFire Gap = iota // at the instant of the change: once, however many readings are missing
	GapSkip            // not at all
)

// Overlap is what a rule does with a reading of the wall clock that comes twice
// on the day the clocks go back.
type Overlap uint8

// The policies for an overlap.
const (
	OverlapFirst  Overlap = iota // the first time
	OverlapSecond                // the second time
	OverlapBoth                  // both times
)

// Occurrence is one fire of a rule.
type Occurrence struct {
	// Nominal is when the rule says it fires, in UTC, before jitter. Together
	// with the schedule's id it names the occurrence.
	Nominal time.Time
	// InGap: at least one of the readings that this stands for is missing on the
	// clock on the wall, and Nominal is the instant of the change.
	InGap bool
	// InOverlap: the clock on the wall shows this reading twice.
	InOverlap bool
}

// The calendar's limits: the first second it knows, and the first it does not.
var (
	horizonFrom = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	horizonTo   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Next is the first occurrence strictly after a time; false if there is none.
func (r Rule) Next(after time.Time) (Occurrence, bool) {
	from, to := r.bounds()
	if after.Before(from) {
		after = from.Add(-1)
	}
	o, ok := r.kind().next(after)
	return o, ok && o.Nominal.Before(to)
}

// Last is the last occurrence at or before a time; false if there is none. It
// costs the same however many were missed before it.
func (r Rule) Last(upto time.Time) (Occurrence, bool) {
	from, to := r.bounds()
	if !upto.Before(to) {
		upto = to.Add(-1)
	}
	o, ok := r.kind().last(upto)
	return o, ok && !o.Nominal.Before(from)
}

// Missed counts the occurrences after one time and up to another, this one
// included. The count is exact and costs a step per day, not per occurrence.
func (r Rule) Missed(after, upto time.Time) uint64 {
	from, to := r.bounds()
	if after.Before(from) {
		after = from.Add(-1)
	}
	if !upto.Before(to) {
		upto = to.Add(-1)
	}
	if !after.Before(upto) {
		return 0
	}
	return r.kind().count(after, upto)
}

// kind is the part of a rule that differs between cron, every and at. Bounds
// are already applied to what it is asked.
type kind interface {
	next(after time.Time) (Occurrence, bool)
	last(upto time.Time) (Occurrence, bool)
	count(after, upto time.Time) uint64
}

func (r Rule) kind() kind {
	switch {
	case r.Cron != nil:
		return wall{cron: r.Cron, zone: zone{r.location()}, closed: r.Exclude, gap: r.Gap, overlap: r.Overlap}
	case r.Every > 0:
		return every{interval: r.Every, anchor: r.anchor(), zone: zone{r.location()}, closed: r.Exclude}
	default:
		return once{at: r.At}
	}
}

func (r Rule) location() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

func (r Rule) anchor() time.Time {
	switch {
	case !r.Anchor.IsZero():
		return r.Anchor
	case !r.Start.IsZero():
		return r.Start
	default:
		return horizonFrom
	}
}

// bounds are the first instant at which the rule may fire and the first at
// which it may not any more.
func (r Rule) bounds() (from, to time.Time) {
	from, to = horizonFrom, horizonTo
	if r.Start.After(from) {
		from = r.Start
	}
	if !r.End.IsZero() && r.End.Before(to) {
		to = r.End
	}
	return from, to
}

// floor is an instant as whole seconds, the inner unit of wall-clock rules.
func floor(t time.Time) int64 { return t.Unix() }

// never stands for "no second": later, or earlier, than any the calendar knows.
const (
	never  = math.MaxInt64
	before = math.MinInt64
)
