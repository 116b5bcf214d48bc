package scheduler

import (
	"strings"
	"sync"

	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// rules remembers rules that were parsed: the next occurrence of a schedule is
// asked for again and again, many schedules have the same rule, and reading a
// zone is reading a file.
type rules struct {
	mu   sync.Mutex
	byID map[string]calendar.Rule
}

// maxRules bounds the memory; then it begins anew.
const maxRules = 4096

func newRules() *rules { return &rules{byID: map[string]calendar.Rule{}} }

// parse is calendar.Parse.
func (r *rules) parse(spec calendar.Spec) (calendar.Rule, error) {
	id := strings.Join(append([]string{
		spec.Cron, spec.Every, spec.At, spec.Anchor, spec.Zone, spec.Start, spec.End, spec.Jitter, spec.Gap, spec.Overlap,
	}, spec.Exclude...), "\x00")
	r.mu.Lock()
	rule, ok := r.byID[id]
	r.mu.Unlock()
	if ok {
		return rule, nil
	}
	rule, err := calendar.Parse(spec)
	if err != nil || spec.At != "" || spec.Anchor != "" {
		return rule, err // of its own, seldom asked for again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byID) >= maxRules {
		clear(r.byID)
	}
	r.byID[id] = rule
	return rule, nil
}
