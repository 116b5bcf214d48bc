package calendar

import (
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Spec is a rule as text, the way it is written in a request, in a file and in
// the store. Empty = not set.
//
// A time is RFC 3339 ("2026-10-25T02:30:00+02:00"), or a date with or without
// a time of day that is read in Zone ("2026-10-25 02:30", "2026-10-25"); there,
// Gap and Overlap say what a reading means that is missing or comes twice.
type Spec struct {
	Cron    string   `json:"cron,omitempty"`    // see ParseCron
	Every   string   `json:"every,omitempty"`   // a duration ("15m", "1h30m"), at least one second
	Anchor  string   `json:"anchor,omitempty"`  // with every: a time at which it fires
	At      string   `json:"at,omitempty"`      // a time
	Zone    string   `json:"zone,omitempty"`    // IANA name ("Europe/Prague"); empty = UTC
	Start   string   `json:"start,omitempty"`   // a time, included
	End     string   `json:"end,omitempty"`     // a time, excluded
	Exclude []string `json:"exclude,omitempty"` // see ParseExclusion
	Jitter  string   `json:"jitter,omitempty"`  // a duration, at most a day
	Gap     string   `json:"gap,omitempty"`     // "fire" (default) or "skip"
	Overlap string   `json:"overlap,omitempty"` // "first" (default), "second" or "both"
}

// The limits of a rule.
const (
	MinEvery   = time.Second               // the shortest interval
	MaxEvery   = 10 * 366 * 24 * time.Hour // the longest interval
	MaxJitter  = 24 * time.Hour
	MaxExclude = 366 // exclusions of one rule
)

// Parse makes a rule of its text. Every error is invalid_schedule, names the
// field in its details, and for an expression the position too. A rule that can
// never fire is refused.
func Parse(spec Spec) (Rule, error) {
	var r Rule
	if err := spec.oneKind(); err != nil {
		return Rule{}, err
	}
	for _, part := range []func(*Rule) error{
		spec.zone, spec.policies, spec.exclude, spec.jitter, spec.bounds, spec.kind,
	} {
		if err := part(&r); err != nil {
			return Rule{}, err
		}
	}
	if _, fires := r.Next(horizonFrom.Add(-1)); !fires {
		return Rule{}, spec.neverFires()
	}
	return r, nil
}

// oneKind refuses two kinds of rule in one, and fields that its kind has not.
func (s Spec) oneKind() error {
	var kinds []string
	for _, k := range []struct{ name, text string }{{"cron", s.Cron}, {"every", s.Every}, {"at", s.At}} {
		if k.text != "" {
			kinds = append(kinds, k.name)
		}
	}
	switch {
	case len(kinds) == 0:
		return refuse("cron", "one of cron, every and at is required")
	case len(kinds) > 1:
		return refuse(kinds[1], "a rule has one of cron, every and at, and %s is set", strings.Join(kinds, " and "))
	case s.Anchor != "" && s.Every == "":
		return refuse("anchor", "goes with every")
	case s.At == "":
		return nil
	case s.Start != "" || s.End != "" || len(s.Exclude) > 0:
		return refuse("at", "fires once; start, end and exclude have nothing to say")
	}
	return nil
}

func (s Spec) zone(r *Rule) (err error) {
	r.Zone, err = Zone(s.Zone)
	return err
}

func (s Spec) policies(r *Rule) error {
	switch s.Gap {
	case "", "fire":
	case "skip":
		r.Gap = GapSkip
	default:
		return refuse("gap", "%q is neither fire nor skip", s.Gap)
	}
	switch s.Overlap {
	case "", "first":
	case "second":
		r.Overlap = OverlapSecond
	case "both":
		r.Overlap = OverlapBoth
	default:
		return refuse("overlap", "%q is none of first, second and both", s.Overlap)
	}
	return nil
}

func (s Spec) exclude(r *Rule) error {
	if len(s.Exclude) > MaxExclude {
		return refuse("exclude", "%d exclusions are more than %d", len(s.Exclude), MaxExclude)
	}
	for _, text := range s.Exclude {
		e, err := ParseExclusion(text)
		if err != nil {
			return err
		}
		r.Exclude = append(r.Exclude, e)
	}
	return nil
}

func (s Spec) jitter(r *Rule) (err error) {
	if s.Jitter == "" {
		return nil
	}
	if r.Jitter, err = duration("jitter", s.Jitter); err != nil {
		return err
	}
	if r.Jitter < 0 || r.Jitter > MaxJitter {
		return refuse("jitter", "%s is not between 0s and %s", s.Jitter, MaxJitter)
	}
	return nil
}

func (s Spec) bounds(r *Rule) (err error) {
	if r.Start, err = r.instant("start", s.Start); err != nil {
		return err
	}
	if r.End, err = r.instant("end", s.End); err != nil {
		return err
	}
	if !r.End.IsZero() && !r.End.After(r.Start) {
		return refuse("end", "%s is not after start", s.End)
	}
	return nil
}

func (s Spec) kind(r *Rule) (err error) {
	switch {
	case s.Cron != "":
		r.Cron, err = ParseCron(s.Cron)
		return err
	case s.At != "":
		r.At, err = r.instant("at", s.At)
		return err
	}
	if r.Every, err = duration("every", s.Every); err != nil {
		return err
	}
	if r.Every < MinEvery || r.Every > MaxEvery {
		return refuse("every", "%s is not between %s and %s", s.Every, MinEvery, MaxEvery)
	}
	r.Anchor, err = r.instant("anchor", s.Anchor)
	return err
}

// neverFires names the field that is most likely to blame.
func (s Spec) neverFires() error {
	switch {
	case len(s.Exclude) > 0:
		return refuse("exclude", "leaves no date on which the rule could fire")
	case s.Start != "" || s.End != "":
		return refuse("end", "the rule never fires between start and end")
	case s.Cron != "":
		words := split(s.Cron)
		dom := words[len(words)-3] // the only fields that exclude each other are this and the month
		return faultAt(dom.at, "%q never fires: no such date exists", s.Cron)
	}
	return refuse("every", "never fires")
}

func duration(field, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, refuse(field, "%q is no duration (90s, 15m, 1h30m)", text)
	}
	return d, nil
}

func refuse(field, format string, args ...any) error {
	return fault.Field(fault.InvalidSchedule, field, format, args...)
}
