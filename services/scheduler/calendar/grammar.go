package calendar

import (
	"strconv"
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/belfry-events/belfry/pkg/fault"
)

// parser reads six fields. Where the fault is in an expression, and what robfig
// lets through without a word, is found here first: it reads "*-5" as "*",
// "1,,2" as "1,2", "+5" as "5", and panics at "TZ=".
var parser = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// field is one field of an expression, in the order in which they are written.
type field struct {
	name  string
	takes string
	size  int // distinct values: the longest step that makes sense
}

var fields = [...]field{
	{"second", "0-59", 60},
	{"minute", "0-59", 60},
	{"hour", "0-23", 24},
	{"day of month", "1-31", 31},
	{"month", "1-12 or jan-dec", 12},
	{"day of week", "0-6 (0 is Sunday) or sun-sat", 7},
}

// check finds the first term of a field that is not one.
func check(f field, w word, index int) error {
	at := w.at
	for term := range strings.SplitSeq(w.text, ",") {
		if !f.takesTerm(term, index) {
			return faultAt(at, "%q is no %s: it takes %s, ranges (a-b), steps (*/n, a-b/n), lists (a,b) and *", term, f.name, f.takes)
		}
		at += len(term) + 1
	}
	return nil
}

// takesTerm holds a term against the grammar, and lets robfig judge the values.
func (f field) takesTerm(term string, index int) bool {
	body, step, stepped := strings.Cut(term, "/")
	if stepped {
		n, err := strconv.Atoi(step)
		// robfig takes a longer step and fires at the first value only, which is
		// not what "every 90 minutes" was meant to say.
		if err != nil || n < 1 || n > f.size || step[0] == '+' {
			return false
		}
	}
	if body != "*" && body != "?" {
		low, high, ranged := strings.Cut(body, "-")
		if !isValue(low) || ranged && !isValue(high) {
			return false
		}
	}
	probe := [...]string{"0", "0", "0", "1", "1", "0"}
	probe[index] = term
	_, err := parser.Parse(strings.Join(probe[:], " "))
	return err == nil
}

// isValue says whether a text is a number or a name, before anybody asks which.
func isValue(text string) bool {
	digits, letters := 0, 0
	for i := range len(text) {
		switch c := text[i] | 0x20; {
		case text[i] >= '0' && text[i] <= '9':
			digits++
		case c >= 'a' && c <= 'z':
			letters++
		default:
			return false
		}
	}
	return digits > 0 && digits <= 2 && letters == 0 || letters == 3 && digits == 0
}

// word is a field as it stands in the text; at is its first byte, from 1.
type word struct {
	at   int
	text string
}

func split(text string) (words []word) {
	start := -1
	for i := range len(text) + 1 {
		blank := i == len(text) || text[i] == ' ' || text[i] == '\t'
		switch {
		case blank && start >= 0:
			words = append(words, word{start + 1, text[start:i]})
			start = -1
		case !blank && start < 0:
			start = i
		}
	}
	return words
}

func count(n int) string {
	if n == 1 {
		return "one field"
	}
	return strconv.Itoa(n) + " fields"
}

// faultAt is an error of the expression at a byte, counted from 1.
func faultAt(at int, format string, args ...any) error {
	return fault.Field(fault.InvalidSchedule, "cron", "at position "+strconv.Itoa(at)+": "+format, args...).
		With("position", strconv.Itoa(at))
}
