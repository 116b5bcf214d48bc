package calendar

import "time"

// local are the ways to write a reading of the wall clock.
var local = []string{
	"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
}

// instant reads a time: one with an offset as it is, one without in the rule's
// zone and by its policies. "" is the zero time.
func (r Rule) instant(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if t, err = r.reading(field, text); err != nil {
			return time.Time{}, err
		}
	}
	if t.Before(horizonFrom) || !t.Before(horizonTo) {
		return time.Time{}, refuse(field, "%s is not in the years 1970 to 2199", text)
	}
	return t.UTC(), nil
}

func (r Rule) reading(field, text string) (time.Time, error) {
	for _, layout := range local {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at, changed := zone{r.location()}.resolve(t.Unix())
		switch {
		case len(at) == 0 && r.Gap == GapSkip:
			return time.Time{}, refuse(field, "%s does not exist in %s: the clocks go forward", text, r.location())
		case len(at) == 0:
			return time.Unix(changed, 0), nil
		case r.Overlap == OverlapSecond:
			return time.Unix(at[len(at)-1], 0), nil
		default:
			return time.Unix(at[0], 0), nil
		}
	}
	return time.Time{}, refuse(field, "%q is no time (2026-10-25T02:30:00+02:00, 2026-10-25 02:30, 2026-10-25)", text)
}
