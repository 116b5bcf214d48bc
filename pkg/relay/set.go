package relay

import (
	"context"
	"fmt"
	"sync"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Set is a relay in partitions: one durable, one cursor and one worker each.
// Order holds within a partition. It is a run.Service and a run.Checker.
type Set struct {
	relays []*Relay
	ready  chan struct{}
	once   sync.Once
}

// NewSet makes n relays. partition gives the options of one of them, numbered
// from 0; names and filters must differ. Code invalid_config.
func NewSet(n int, partition func(i int) Options) (*Set, error) {
	s := &Set{ready: make(chan struct{})}
	names := map[string]bool{}
	for i := range n {
		r, err := New(partition(i))
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		if names[r.o.Name] {
			return nil, fault.Field(fault.InvalidConfig, "name", "%q names two partitions", r.o.Name)
		}
		names[r.o.Name] = true
		s.relays = append(s.relays, r)
	}
	return s, nil
}

// Relays are the partitions, by number.
func (s *Set) Relays() []*Relay { return s.relays }

// Run runs all partitions until ctx is cancelled, or one of them cannot go on.
func (s *Set) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(s.relays))
	for _, r := range s.relays {
		go func() { errs <- r.Run(ctx) }()
	}
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		for _, r := range s.relays {
			select {
			case <-r.Ready():
			case <-ctx.Done():
				return
			}
		}
		s.once.Do(func() { close(s.ready) })
	}()
	var first error
	for range s.relays {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	cancel()
	<-opened
	return first
}

// Ready is closed when every partition is.
func (s *Set) Ready() <-chan struct{} { return s.ready }

// Check is the first trouble of any partition.
func (s *Set) Check(ctx context.Context) error {
	for _, r := range s.relays {
		if err := r.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}
