package objectevent

import (
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// maxAlertDepth is how many alerts may follow from one another. Rules cannot make a
// circle by themselves, findLoop sees to that; programs that write objects when they
// see an alert can, and their events say how deep they are; see alertdeep.go.
const maxAlertDepth = 8

// alertPlace is where a rule listens, or speaks in a way that rules can hear.
type alertPlace struct {
	topic string
	on    onName
}

// findLoop says whether a tenant's rules, disabled ones included, would set one
// another off for ever, or more than maxAlertDepth times. Only alerts under the verbs
// of changes can set a rule off. Code alert_loop, naming the way; changed is the rule
// that is to blame.
func findLoop(all []alertRule, changed string) error {
	listening := map[alertPlace][]*alertRule{}
	for i := range all {
		r := &all[i]
		for _, topic := range r.Topics {
			for _, on := range r.On {
				p := alertPlace{topic, on}
				listening[p] = append(listening[p], r)
			}
		}
	}
	l := loops{listening: listening, length: map[*alertRule]int{}, under: map[*alertRule]bool{}}
	for i := range all {
		if _, err := l.walk(&all[i], changed); err != nil {
			return err
		}
	}
	return nil
}

type loops struct {
	listening map[alertPlace][]*alertRule
	length    map[*alertRule]int // of the longest chain that begins with a rule
	under     map[*alertRule]bool
	way       []string
}

func (l *loops) walk(r *alertRule, changed string) (length int, err error) {
	if n, known := l.length[r]; known {
		return n, nil
	}
	l.way = append(l.way, r.Name)
	if l.under[r] {
		return 0, loopFault(changed, "its alerts would set it off again: %s", strings.Join(l.way, " → "))
	}
	l.under[r] = true
	if on, heard := onVerbs[subject.Fold(r.TargetVerb)]; heard {
		for _, next := range l.listening[alertPlace{subject.Fold(r.Target), on}] {
			n, err := l.walk(next, changed)
			if err != nil {
				return 0, err
			}
			length = max(length, n)
		}
	}
	if length++; length > maxAlertDepth {
		return 0, loopFault(changed, "%d rules would set one another off, the maximum is %d", length, maxAlertDepth)
	}
	l.way, l.under[r] = l.way[:len(l.way)-1], false
	l.length[r] = length
	return length, nil
}

func loopFault(rule, format string, args ...any) error {
	return fault.Field(fault.AlertLoop, "targetTopic", format, args...).With("rule", rule)
}
