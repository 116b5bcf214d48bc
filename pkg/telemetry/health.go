package telemetry

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// checkWithin bounds one check, so that a hung part reads as not ready. Probes of
// Kubernetes wait one second by default.
const checkWithin = 900 * time.Millisecond

// Check says whether a part serves: nil, or the fault that keeps it from it.
type Check func(ctx context.Context) error

// Health is the named checks of a process. Safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	checks map[string]Check
}

// NewHealth has no checks yet, and is ready.
func NewHealth() *Health { return &Health{checks: map[string]Check{}} }

// Add registers a check; one of the same name is replaced.
func (h *Health) Add(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// State is what /readyz answers.
type State struct {
	Ready bool        `json:"ready"`
	Parts []PartState `json:"parts"` // by name
}

// PartState is the answer of one check.
type PartState struct {
	Name    string     `json:"name"`
	Ready   bool       `json:"ready"`
	Code    fault.Code `json:"code,omitempty"`    // why it is not
	Message string     `json:"message,omitempty"` // public text
}

// State asks every check, all at once.
func (h *Health) State(ctx context.Context) State {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	h.mu.Lock()
	answers := make(chan PartState, len(h.checks))
	n := len(h.checks)
	for name, check := range h.checks {
		go func() { answers <- stateOf(name, check(ctx)) }()
	}
	pending := make(map[string]bool, n)
	for name := range h.checks {
		pending[name] = true
	}
	h.mu.Unlock()

	s := State{Ready: true, Parts: make([]PartState, 0, n)}
	for range n {
		select {
		case p := <-answers:
			delete(pending, p.Name)
			s.Parts = append(s.Parts, p)
		case <-ctx.Done(): // those that ignore ctx
		}
	}
	for name := range pending {
		s.Parts = append(s.Parts, stateOf(name, ctx.Err()))
	}
	for _, p := range s.Parts {
		s.Ready = s.Ready && p.Ready
	}
	slices.SortFunc(s.Parts, func(a, b PartState) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func stateOf(name string, err error) PartState {
	if err == nil {
		return PartState{Name: name, Ready: true}
	}
	e := fault.From(err)
	return PartState{Name: name, Code: e.Code(), Message: e.Error()}
}
