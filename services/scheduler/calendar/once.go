package calendar

import "time"

// once is the rule that fires at one instant.
type once struct{ at time.Time }

func (o once) next(after time.Time) (Occurrence, bool) {
	return Occurrence{Nominal: o.at.UTC()}, o.at.After(after)
}

func (o once) last(upto time.Time) (Occurrence, bool) {
	return Occurrence{Nominal: o.at.UTC()}, !o.at.IsZero() && !o.at.After(upto)
}

func (o once) count(after, upto time.Time) uint64 {
	if o.at.After(after) && !o.at.After(upto) {
		return 1
	}
	return 0
}
