package calendar

import (
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Cron is a parsed expression: sets of seconds, minutes and so on, one bit each.
type Cron struct {
	text                                        string
	seconds, minutes, hours, doms, months, dows uint64
	anyDom, anyDow                              bool // the day field is a star
	elapsed                                     bool // the hour is a wildcard: elapsed time
}

// String is the expression as it was written.
func (c *Cron) String() string { return c.text }

// Elapsed says whether the expression means elapsed time (its hour is a
// wildcard) rather than fixed times of the wall clock, on which the policies
// for gap and overlap work.
func (c *Cron) Elapsed() bool { return c.elapsed }

// descriptors are the words that stand for an expression. @every is none of
// them: an interval is a rule of its own kind.
var descriptors = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// ParseCron reads an expression of five fields (minute, hour, day of month,
// month, day of week), of six (seconds first), or one of @yearly, @annually,
// @monthly, @weekly, @daily, @midnight and @hourly. If both day fields are
// restricted, either may match, as in every cron.
//
// An error is invalid_schedule with the details field ("cron") and position:
// the byte, counted from 1, at which the fault begins.
func ParseCron(text string) (*Cron, error) {
	words := split(text)
	if len(words) == 0 {
		return nil, faultAt(1, "is empty")
	}
	if strings.HasPrefix(words[0].text, "@") {
		return parseDescriptor(text, words)
	}
	if at := strings.Index(words[0].text, "TZ="); at >= 0 {
		return nil, faultAt(words[0].at, "a zone is a field of its own and not part of the expression")
	}
	named := fields[:]
	if len(words) == len(fields)-1 {
		named = fields[1:]
	}
	if len(words) < len(named) {
		return nil, faultAt(len(text)+1, "ends after %s; an expression has five fields, or six with seconds first", count(len(words)))
	}
	if len(words) > len(named) {
		return nil, faultAt(words[len(named)].at, "has more than six fields")
	}
	for i, w := range words {
		if err := check(named[i], w, len(fields)-len(named)+i); err != nil {
			return nil, err
		}
	}
	return compile(text, words)
}

func compile(text string, words []word) (*Cron, error) {
	six := make([]string, 0, len(fields))
	if len(words) == len(fields)-1 {
		six = append(six, "0")
	}
	for _, w := range words {
		six = append(six, w.text)
	}
	parsed, err := parser.Parse(strings.Join(six, " "))
	if err != nil { // check has let something pass that robfig does not take
		return nil, fault.Wrap(fault.InvalidSchedule, err, "cron: is not an expression").With("field", "cron").With("position", "1")
	}
	s := parsed.(*cron.SpecSchedule) //nolint:forcetypeassert,errcheck // the only type the parser makes of fields
	const star = 1 << 63             // robfig's mark for a field that is not restricted
	const everyHour = 1<<24 - 1
	return &Cron{
		text:    text,
		seconds: s.Second &^ star, minutes: s.Minute &^ star, hours: s.Hour &^ star,
		doms: s.Dom &^ star, months: s.Month &^ star, dows: s.Dow &^ star,
		anyDom: s.Dom&star != 0, anyDow: s.Dow&star != 0,
		elapsed: s.Hour&everyHour == everyHour,
	}, nil
}

func parseDescriptor(text string, words []word) (*Cron, error) {
	w := words[0]
	if strings.EqualFold(w.text, "@every") {
		return nil, faultAt(w.at, "an interval is not an expression; set every instead")
	}
	expression, known := descriptors[strings.ToLower(w.text)]
	if !known {
		return nil, faultAt(w.at, "%q is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly", w.text)
	}
	if len(words) > 1 {
		return nil, faultAt(words[1].at, "nothing follows %s", w.text)
	}
	c, err := compile(expression, split(expression))
	if err == nil {
		c.text = text
	}
	return c, err
}
