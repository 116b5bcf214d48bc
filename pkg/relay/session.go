package relay

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// step names the places between which tests stop a worker.
type step string

var (
	errCrash = errors.New("stopped by a test") // ends Run, cleaning up nothing

	// Why a session ends and the next begins.
	errConflict = errors.New("another worker moved the cursor")
	errGap      = errors.New("the deliveries are not all ours")
	errRetry    = errors.New("not now")
)

// session is one try at being the worker: it waits until the server pins this
// client, takes over, and works until something breaks. Nothing it knows
// outlives it but the pin.
type session struct {
	*Relay
	ctx    context.Context // ends with the session; its cause says why
	cancel context.CancelCauseFunc
	over   sync.WaitGroup

	source, target jetstream.Stream
	epoch          string // of the source
	rollup         bool   // the target lets the cursor replace its predecessor
	rewrite        time.Duration
	largest        int      // message that the target takes
	subjects       []string // that it listens to

	deliveries      // what the server sends
	brought    bool // back what the last worker may have left unsettled

	cur      cursor // as stored
	revision uint64 // of it, in the target
	copied   uint64 // revision of the copy
	relayed  atomic.Uint64
	back     []*item // taken and not relayed yet, in order
	alone    bool    // one message per batch: one of the last batch spoils it
	failures int     // in a row, of what is unavailable
	forgets  sync.WaitGroup
}

// session runs one. worked says that it took over.
func (r *Relay) session(parent context.Context) (worked bool, err error) {
	s := &session{Relay: r}
	s.ctx, s.cancel = context.WithCancelCause(parent)
	defer func() {
		s.cancel(err)
		s.stop(worked && parent.Err() != nil)
	}()
	if err := s.open(); err != nil {
		r.show(err)
		return false, err
	}
	r.show(nil)
	if err := s.standBy(); err != nil {
		return false, err
	}
	if err := s.takeOver(); err != nil {
		if k := fault.CodeOf(err); !errors.Is(err, errConflict) && k != fault.Conflict {
			r.show(err)
		}
		return false, err
	}
	r.show(nil)
	return true, s.work()
}

// open reaches both streams and the durable, and looks whether the cursor fits.
func (s *session) open() (err error) {
	if s.source, err = s.stream(s.o.Source); err != nil {
		return err
	}
	if s.target, err = s.stream(s.o.Target); err != nil {
		return err
	}
	from, to := s.source.CachedInfo().Config, s.target.CachedInfo().Config
	if !to.AllowAtomicPublish {
		return fault.Field(fault.InvalidConfig, "target", "stream %s takes no atomic batches", s.o.Target)
	}
	if from.Retention != jetstream.LimitsPolicy {
		return fault.Field(fault.InvalidConfig, "source", "stream %s has the retention %q, under which the server removes what it takes for acknowledged; a relay reads a stream with limits",
			s.o.Source, from.Retention)
	}
	s.epoch, s.rollup = from.Metadata[topology.EpochKey], to.AllowRollup
	if s.rewrite = s.o.Rewrite; to.MaxAge > 0 {
		s.rewrite = min(s.rewrite, to.MaxAge/4)
	}
	s.subjects = to.Subjects
	if s.largest = int(s.o.Bus.NC.MaxPayload()); to.MaxMsgSize > 0 {
		s.largest = min(s.largest, int(to.MaxMsgSize))
	}
	if err := s.openConsumer(); err != nil {
		return err
	}
	c, revision, err := s.loadCursor(s.ctx)
	if err == nil && revision > 0 {
		err = s.fits(c)
	}
	if err != nil {
		return err
	}
	return s.deliver()
}

func (s *session) stream(name string) (jetstream.Stream, error) {
	stream, err := s.js.Stream(s.ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fault.Wrap(fault.StreamLost, err, "relay %s: there is no stream %s", s.o.Name, name)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "relay %s: stream %s does not answer", s.o.Name, name)
	}
	return stream, nil
}

// openConsumer finds the durable or makes it. The same handle is kept over
// sessions, because it knows whether this client is the pinned one.
func (s *session) openConsumer() error {
	have, err := s.source.Consumer(s.ctx, s.o.Name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		if have, err = s.source.CreateOrUpdateConsumer(s.ctx, s.o.consumer()); err == nil && s.had {
			s.metrics.recreated.Inc()
			s.o.Log.Warn("the relay's consumer had disappeared and was made again", "relay", s.o.Name)
		}
	case err == nil && !s.had:
		// Once per process: an older program beside this one may differ.
		have, err = s.source.CreateOrUpdateConsumer(s.ctx, s.o.consumer())
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "relay %s: open its consumer", s.o.Name)
	}
	s.had = true
	if s.consumer == nil || !s.consumer.CachedInfo().Created.Equal(have.CachedInfo().Created) {
		s.consumer = have
	}
	return nil
}

// fits says whether a cursor counts in the source stream as it is now.
func (s *session) fits(c cursor) error {
	if c.Epoch != s.epoch {
		return fault.New(fault.EpochMismatch, "relay %s: its cursor belongs to another stream %s than the one that is there", s.o.Name, s.o.Source).
			With("cursor", c.Epoch).With("stream", s.epoch)
	}
	info, err := s.source.Info(s.ctx)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "relay %s: stream %s does not answer", s.o.Name, s.o.Source)
	}
	if c.Seq > info.State.LastSeq {
		return fault.New(fault.EpochMismatch, "relay %s: its cursor lies beyond the end of stream %s", s.o.Name, s.o.Source)
	}
	return nil
}

// stop ends the session's goroutines. A worker that ends in peace gives its
// place away, so that nobody has to wait for the pin to run out.
func (s *session) stop(inPeace bool) {
	if s.messages != nil {
		s.messages.Stop()
	}
	s.over.Wait()
	s.forgets.Wait()
	if !inPeace {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Second)
	defer cancel()
	if err := s.source.UnpinConsumer(ctx, s.o.Name, group); err != nil {
		s.o.Log.Debug("place not given away", "relay", s.o.Name, telemetry.Err(err))
	}
}
