package objectevent

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// sweeper takes out of OPERATIONS what is relayed. JetStream would do so with the
// acknowledgement, in a work queue; but there whoever becomes a durable's leader also
// removes what its state takes for acknowledged, and after a reset that is too much:
// deliveries of before, recorded behind it, hide those between from what is pending.
// Here nothing goes that is not in the log.
type sweeper struct {
	queue stream.Stream                     // OPERATIONS
	done  [subject.Partitions]atomic.Uint64 // up to here relayed, and its objects moved
	wake  chan struct{}
}

// sweepPause is between two sweeps: each costs one call for a partition in use.
const sweepPause = 250 * time.Millisecond

func newSweeper(nc *nats.Conn) *sweeper {
	return &sweeper{queue: storedIn(nc, Operations), wake: make(chan struct{}, 1)}
}

// settled is told how far a partition has come.
func (s *sweeper) settled(partition int, seq uint64) {
	s.done[partition].Store(seq)
	s.rouse()
}

func (s *sweeper) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run sweeps until ctx ends. What is left then is settled, and so swept, by whoever takes
// the partition over.
func (s *sweeper) run(ctx context.Context, failed func(partition int, err error)) {
	var swept [subject.Partitions]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for p := range swept {
			done := s.done[p].Load()
			if done <= swept[p] {
				continue
			}
			if err := s.queue.Purge(ctx, subject.OperationsOf(p), done+1); err != nil {
				failed(p, err)
				s.rouse()
				continue
			}
			swept[p] = done
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepPause):
		}
	}
}

// notSwept logs what the next sweep does again.
func (s *Service) notSwept(partition int, err error) {
	s.log.Debug("operations not taken out of the queue yet", "relay", relayName(partition), telemetry.Err(err))
}
