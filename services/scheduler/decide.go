package scheduler

import (
	"time"

	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// fire is one occurrence that happens.
type fire struct {
	ID      string    // <schedule>@<nominal>, or of a run by hand <schedule>@run-<run>
	Nominal time.Time // when it was meant to
	Actual  time.Time // when it does
	Missed  uint64    // occurrences before it that did not
	By      string    // who asked for a run by hand
}

// skipped is a row of occurrences that do not happen.
type skipped struct {
	Reason string
	Last   time.Time // nominal
	Count  uint64
}

// Reasons for skipping.
const (
	tooLate   = "late"      // outside the window
	coalesced = "coalesced" // a newer one fires instead
	byPolicy  = "policy"    // skip
	overLimit = "limit"     // all, and older than the newest so many
)

// verdict is what becomes of the occurrence that fell due, and of those after it
// whose time has passed as well.
type verdict struct {
	fire    *fire
	skips   []skipped
	settled time.Time // up to here
	due     time.Time // when the first of them was due
}

// punctual is how late an occurrence may be and still count as in time: nothing
// that takes longer is an election or a restart.
const punctual = time.Minute

// decide says what becomes of the armed occurrence. It looks at no clock and
// writes nothing, and costs the same after a second and after a year.
func (d *definition) decide(rule calendar.Rule, now time.Time) verdict {
	span := span{d, rule, now, d.Armed.Nominal, d.Armed.Nominal}
	if o, ok := rule.Last(now.Add(-rule.Jitter)); ok && o.Nominal.After(span.first) {
		span.last = o.Nominal
	}
	v := verdict{settled: span.last, due: d.Armed.At}
	switch d.CatchUp.Policy {
	case all:
		span.all(&v)
	case skip:
		if span.late(span.last) >= punctual {
			v.skip(byPolicy, span.last, span.count())
			break
		}
		v.skip(byPolicy, span.before(span.last), span.count()-1)
		v.fire = span.fire(span.last, span.count()-1)
	default:
		if span.outside(span.last) {
			v.skip(tooLate, span.last, span.count())
			break
		}
		v.skip(coalesced, span.before(span.last), span.count()-1)
		v.fire = span.fire(span.last, span.count()-1)
	}
	return v
}

func (v *verdict) skip(reason string, last time.Time, count uint64) {
	if count > 0 {
		v.skips = append(v.skips, skipped{reason, last, count})
	}
}

// missed is how many do not happen.
func (v *verdict) missed() (n uint64) {
	for _, s := range v.skips {
		n += s.Count
	}
	return n
}

// apply is d after a verdict, armed again.
func (d *definition) apply(rule calendar.Rule, v verdict, now time.Time, keep time.Duration) *definition {
	next := *d
	next.Settled = v.settled
	next.Missed += v.missed()
	if v.fire != nil {
		next.Last = v.fire.Nominal
		next.Fired++
	}
	if d.CatchUp.Policy == restart && now.Sub(v.due) >= lateRestart {
		// The interval begins anew with this event.
		next.Rule.Anchor = anchorAt(now).Format(time.RFC3339)
		rule.Anchor, next.Settled = anchorAt(now), now
	}
	next.rearm(rule, now, keep)
	return &next
}

// lateRestart is how late an interval's event must be to begin a new interval;
// below, intervals keep their pace.
const lateRestart = 5 * time.Second

// span is the occurrences from the armed one to the last whose time has passed.
type span struct {
	d           *definition
	rule        calendar.Rule
	now         time.Time
	first, last time.Time // nominal
}

// late is how late an occurrence is now.
func (s span) late(nominal time.Time) time.Duration {
	return s.now.Sub(nominal.Add(s.rule.Offset(s.d.ID, nominal)))
}

func (s span) outside(nominal time.Time) bool {
	return s.d.CatchUp.Window > 0 && s.late(nominal) >= s.d.CatchUp.Window
}

// before is the occurrence before another; only asked where there is one.
func (s span) before(nominal time.Time) time.Time {
	o, _ := s.rule.Last(nominal.Add(-1))
	return o.Nominal
}

// count is how many they are, first and last included.
func (s span) count() uint64 { return 1 + s.rule.Missed(s.first, s.last) }

func (s span) fire(nominal time.Time, missed uint64) *fire {
	return &fire{ID: s.d.occurrence(nominal), Nominal: nominal, Actual: s.now, Missed: missed}
}

// all settles one occurrence, the oldest that may still happen; the next one is
// armed in the past then, and falls due at once.
func (s span) all(v *verdict) {
	missed := uint64(0)
	cut := func(reason string, upto time.Time) {
		n := 1 + s.rule.Missed(s.first, upto)
		v.skip(reason, upto, n)
		missed += n
		v.settled = upto
		if next, ok := s.rule.Next(upto); ok && !next.Nominal.After(s.last) {
			s.first = next.Nominal
		} else {
			s.first = time.Time{}
		}
	}
	late := func() {
		if s.first.IsZero() || !s.outside(s.first) {
			return
		}
		upto := s.first
		if o, ok := s.rule.Last(s.now.Add(-s.d.CatchUp.Window - s.rule.Jitter)); ok && o.Nominal.After(upto) {
			upto = o.Nominal
		}
		// Within the jitter some are too late and some are not.
		for {
			o, ok := s.rule.Next(upto)
			if !ok || o.Nominal.After(s.last) || !s.outside(o.Nominal) {
				break
			}
			upto = o.Nominal
		}
		cut(tooLate, upto)
	}
	late()
	if limit := uint64(s.d.limit()); !s.first.IsZero() && s.count() > limit {
		// Back from the last, as many as may happen; the one before is cut.
		at := s.last
		for range limit {
			at = s.before(at)
		}
		cut(overLimit, at)
		late() // with jitter a younger one may be due earlier
	}
	if s.first.IsZero() {
		return
	}
	v.fire = s.fire(s.first, missed)
	v.settled = s.first
}

func (d *definition) limit() int {
	if d.CatchUp.Limit > 0 {
		return d.CatchUp.Limit
	}
	return defaultLimit
}
