package bus

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// reader is one Consume: a durable and what is known of it.
type reader struct {
	b      *Bus
	o      ConsumeOptions
	handle Handler
	log    *slog.Logger

	opened  bool          // the durable has existed before
	epoch   string        // of the stream
	ackWait time.Duration // of the durable

	slots   chan struct{} // one for each worker; who handles a message has one
	records records
	holding sync.WaitGroup // messages in hand
	over    chan struct{}  // closes when none is read any more: what is in hand goes back
}

// Outcomes, as the metric's label.
const (
	acked  = "ack"
	naked  = "nak"
	buried = "dead_letter"
	back   = "given_back" // fetched, and not handled before the drain
)

// take handles one message, in a slot of the caller's, and tells JetStream the
// verdict.
func (r *reader) take(ctx context.Context, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		r.log.Error("message without a position", telemetry.KeyErr, err)
		return
	}
	known := r.records.delivered(meta.Sequence.Stream)
	if !known && meta.NumDelivered > uint64(r.o.MaxAttempts)*neverAnswered {
		r.bury(ctx, m, meta, fault.New(fault.Internal, "delivered %d times and never answered", meta.NumDelivered))
		return
	}
	if !r.attempt(ctx, m, meta) {
		r.hold(ctx, m, meta)
	}
}

// attempt has the message handled, and answers it. false: it is to be kept in hand.
func (r *reader) attempt(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) (settled bool) {
	seq := meta.Sequence.Stream
	err := r.run(ctx, m)
	switch kind := fault.CodeOf(err).Kind(); {
	case err == nil:
		r.records.done(seq)
		r.answer(m, acked, m.Ack)
	case ctx.Err() != nil:
		// Not the message's fault: whoever takes over gets it at once.
		r.answer(m, naked, m.Nak)
	case kind == fault.Invalid:
		r.bury(ctx, m, meta, err)
	case kind == fault.Down:
		return r.unavailable(m, meta, err)
	case r.records.failed(seq, 1) >= r.o.MaxAttempts, meta.NumDelivered >= uint64(r.o.MaxAttempts)*neverAnswered:
		r.bury(ctx, m, meta, err)
	default:
		r.retry(m, meta, err)
	}
	return true
}

// run calls the handler. Its context outlives ctx by DrainTimeout, and the
// message's AckWait is renewed for as long as it works.
func (r *reader) run(ctx context.Context, m jetstream.Msg) (err error) {
	own, cancel := context.WithCancel(context.WithoutCancel(telemetry.Extract(ctx, m.Headers())))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-own.Done():
		case <-time.After(r.o.DrainTimeout):
			cancel()
		}
	})()
	go r.keepAlive(own, m, r.ackWait/2)
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("handler panicked", telemetry.KeySubject, m.Subject(), telemetry.KeyErr, fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "internal error")
		}
	}()
	return r.handle(own, m)
}

// keepAlive renews the message's AckWait until ctx ends.
func (r *reader) keepAlive(ctx context.Context, m jetstream.Msg, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := m.InProgress(); err != nil {
				r.log.Debug("message not kept alive", telemetry.KeySubject, m.Subject(), telemetry.KeyErr, err)
			}
		}
	}
}

// retry asks for the message again, after the attempt's wait.
func (r *reader) retry(m jetstream.Msg, meta *jetstream.MsgMetadata, err error) {
	wait := r.o.Backoff[min(int(meta.NumDelivered), len(r.o.Backoff))-1]
	r.log.Warn("message failed, coming again", telemetry.KeySubject, m.Subject(), telemetry.KeySequence, meta.Sequence.Stream,
		"attempt", meta.NumDelivered, "wait", wait, telemetry.KeyCode, fault.CodeOf(err), telemetry.KeyErr, err)
	r.answer(m, naked, func() error { return m.NakWithDelay(wait) })
}

// bury writes the dead letter and only then ends the message; a letter that
// cannot be written now is written with the next delivery.
func (r *reader) bury(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata, reason error) {
	if err := r.b.DeadLetter(context.WithoutCancel(ctx), letterOf(m, meta, r.epoch, reason)); err != nil {
		r.retry(m, meta, fmt.Errorf("write the dead letter: %w", err))
		return
	}
	r.log.Error("message given up", telemetry.KeySubject, m.Subject(), telemetry.KeySequence, meta.Sequence.Stream,
		"attempt", meta.NumDelivered, telemetry.KeyCode, fault.CodeOf(reason), telemetry.KeyErr, reason)
	r.records.done(meta.Sequence.Stream)
	r.answer(m, buried, func() error { return m.TermWithReason(string(fault.CodeOf(reason))) })
}

// giveBack returns a message that was fetched and not looked at.
func (r *reader) giveBack(m jetstream.Msg) { r.answer(m, back, m.Nak) }

// answer sends a verdict. One that is lost costs a redelivery, nothing more.
func (r *reader) answer(m jetstream.Msg, outcome string, send func() error) {
	r.b.metrics.messages.WithLabelValues(r.o.Stream, r.o.Consumer.Durable, outcome).Inc()
	if err := send(); err != nil {
		r.log.Warn("verdict not sent, the message will come again", "verdict", outcome, telemetry.KeySubject, m.Subject(), telemetry.KeyErr, err)
	}
}
