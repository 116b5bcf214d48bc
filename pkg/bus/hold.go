package bus

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// What is unavailable is no message's fault: it is asked for until it is there, and
// no dead letter is written for it, however long that takes.
//
//	delivery  1 … MaxAttempts   nak with delay: another replica may have what this
//	                            one lacks
//	          from there on     kept in hand and tried here, so that the server's
//	                            count of deliveries stands still: it is all that
//	                            tells of a message that kills whoever takes it
//
// Which failures were a message's own is known to this process only; the next one
// begins to count anew, up to neverAnswered times MaxAttempts deliveries.

// record is what this process knows of a message that it has not got done yet.
type record struct {
	failures int    // its own, not those of what is unavailable
	letGo    func() // ends the hold; nil = not in hand
}

// maxRecords bounds the memory for messages that other replicas got done.
const maxRecords = 4096

// records are those of one Consume, by stream sequence.
type records struct {
	mu  sync.Mutex
	all map[uint64]*record
}

// delivered says whether a message has been here before, and takes an older delivery
// of it out of hand: only the newest is answered.
func (r *records) delivered(seq uint64) (known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.all[seq]
	if rec != nil && rec.letGo != nil {
		rec.letGo()
		rec.letGo = nil
	}
	return rec != nil
}

// failed counts n failures of a message's own, and answers how many there are.
func (r *records) failed(seq uint64, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.of(seq)
	rec.failures += n
	return rec.failures
}

// hold keeps how to let go of a message in hand.
func (r *records) hold(seq uint64, letGo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(seq).letGo = letGo
}

// of is a message's record, made if there is none. Under mu.
func (r *records) of(seq uint64) *record {
	rec := r.all[seq]
	if rec == nil {
		if len(r.all) >= maxRecords {
			for seq, old := range r.all {
				if old.letGo == nil {
					delete(r.all, seq)
				}
			}
		}
		rec = &record{}
		r.all[seq] = rec
	}
	return rec
}

// done forgets a message.
func (r *records) done(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, seq)
}

// hold keeps a message in hand until what it needs is there, Consume ends, or the
// server delivers it once more. Its worker goes on with others meanwhile.
func (r *reader) hold(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) {
	held, letGo := context.WithCancel(context.WithoutCancel(ctx))
	r.records.hold(meta.Sequence.Stream, letGo)
	waiting := r.b.metrics.waiting.WithLabelValues(r.o.Stream, r.o.Consumer.Durable)
	waiting.Inc()
	r.holding.Go(func() {
		defer waiting.Dec()
		defer letGo()
		go r.keepAlive(held, m, r.ackWait/2)
		for {
			select {
			case <-time.After(r.o.Backoff[len(r.o.Backoff)-1]):
			case <-held.Done():
				return // delivered once more, and answered there
			case <-r.over:
				r.giveBack(m)
				return
			}
			r.slots <- struct{}{} // nobody has one for ever
			settled := held.Err() != nil || r.attempt(ctx, m, meta)
			<-r.slots
			if settled {
				return
			}
		}
	})
}

// unavailable decides about a message whose handler lacks something: true, it was
// given back to come again; false, it is to be kept in hand.
func (r *reader) unavailable(m jetstream.Msg, meta *jetstream.MsgMetadata, err error) (back bool) {
	r.records.failed(meta.Sequence.Stream, 0)
	if meta.NumDelivered < uint64(r.o.MaxAttempts) {
		r.retry(m, meta, err)
		return true
	}
	r.log.Warn("message waits for something unavailable", telemetry.KeySubject, m.Subject(), telemetry.KeySequence, meta.Sequence.Stream,
		telemetry.KeyCode, fault.CodeOf(err), telemetry.KeyErr, err)
	return false
}
