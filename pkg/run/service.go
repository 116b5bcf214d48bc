package run

import (
	"context"
	"time"
)

// Service is something that runs for as long as the process does.
//
// Run blocks; it returns nil after an orderly stop once ctx is cancelled, and an
// error as soon as it cannot go on. It is called once. Ready is closed when the
// service serves; it may be called before Run.
type Service interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// Checker is what a service may have beside: whether it serves right now, as
// /readyz shows it. nil, or the fault that keeps it from serving.
type Checker interface {
	Check(ctx context.Context) error
}

// Patient is what a service may have beside: how long its stop may take, in place
// of what its Part says. One that takes leave of thousands of clients needs more
// than one that has none.
type Patient interface {
	StopWithin() time.Duration
}
