package gateway

import (
	"context"

	"github.com/belfry-events/belfry/pkg/topology"
)

// asking is a question to the log's leader, and its answer once done is closed.
type asking struct {
	done  chan struct{}
	state topology.Log
	err   error
}

// State is Reader.State, shared: whoever asks gets an answer to a question that was
// put after he asked, so that he never sees less than he knows already; but of
// thousands who ask at once only the first puts one, and one more for all others.
//
//	first ──▶ now ──────────▶ answer
//	others ─────▶ next, put when now is answered ──▶ answer
func (l *logReads) State(ctx context.Context) (topology.Log, error) {
	for {
		l.mu.Lock()
		a, mine := l.asksNext, l.asksNext == nil
		if mine {
			a = &asking{done: make(chan struct{})}
			l.asksNext = a
		}
		before := l.asks
		l.mu.Unlock()
		if mine {
			l.put(ctx, a, before)
			return a.state, a.err
		}
		select {
		case <-a.done:
			if a.err == nil {
				return a.state, nil
			}
			// The other one may have left; this one asks himself.
		case <-ctx.Done():
			return topology.Log{}, ctx.Err()
		}
		if ctx.Err() != nil {
			return topology.Log{}, ctx.Err()
		}
	}
}

// put asks when the question before has been answered.
func (l *logReads) put(ctx context.Context, a, before *asking) {
	defer close(a.done)
	if before != nil {
		select {
		case <-before.done:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	l.asks, l.asksNext = a, nil // who asks from here on may know more than this answer
	l.mu.Unlock()
	if a.err = ctx.Err(); a.err == nil {
		a.state, a.err = l.Reader.State(ctx)
	}
	l.mu.Lock()
	if l.asks == a {
		l.asks = nil
	}
	l.mu.Unlock()
}
