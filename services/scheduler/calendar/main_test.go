package calendar

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse is Parse for rules that are right.
func parse(t testing.TB, s Spec) Rule {
	t.Helper()
	r, err := Parse(s)
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	return r
}

// instant is a time in RFC 3339.
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// fires are the occurrences after one time and before another.
func fires(r Rule, after, until time.Time) (all []Occurrence) {
	for {
		o, ok := r.Next(after)
		if !ok || !o.Nominal.Before(until) {
			return all
		}
		all, after = append(all, o), o.Nominal
	}
}

// clocks are fires as the clock on the wall shows them.
func clocks(r Rule, all []Occurrence) (shown []string) {
	for _, o := range all {
		shown = append(shown, o.Nominal.In(r.Zone).Format("01-02 15:04:05 -0700"))
	}
	return shown
}
