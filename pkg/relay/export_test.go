package relay

import (
	"context"
	"errors"
)

// ErrCrash is what a hook returns to end the worker where it stands.
var ErrCrash = errCrash

// IsCrash says whether a worker ended because a hook said so.
func IsCrash(err error) bool { return errors.Is(err, errCrash) }

// Steps are all places where a worker can be stopped.
var Steps = []string{
	string(stepPinned), string(stepLoaded), string(stepFenced), string(stepCopied), string(stepReset), string(stepOpened),
	string(stepMapped), string(stepBuried), string(stepCommitted), string(stepNoted), string(stepSettled), string(stepAcked),
}

// At calls f between every two steps.
func (r *Relay) At(f func(ctx context.Context, step string) error) {
	r.at = func(ctx context.Context, s step) error { return f(ctx, string(s)) }
}
