package objectevent

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// worker decides the operations of one partition, in their order.
//
//	read the operation ─▶ where was the object? ─▶ the table ─▶ events ─▶ move it
//
// The relay stores the events, with the receipt that keeps the same operation from
// having them twice; then the worker moves the object. What a worker remembers is of
// one session; Open forgets it.
type worker struct {
	name      string // of the relay
	partition int
	bus       *bus.Bus
	events    *eventlog.Reader
	trash     *trash
	sweep     *sweeper
	deletions deletions
	stats     *metrics
	log       *slog.Logger
	trace     trace.Tracer
	maxEvent  int

	hand     map[uint64]*hand  // by sequence: decided and not stored yet
	ids      map[string]uint64 // by tenant and id: the same
	moving   map[string]uint64 // by record in TRASH: the one that moves it
	versions *versions
	trashy   map[string]bool // by tenant and topic: whether its trash has ever held anything
	lookout  *lookout
}

// hand is an operation between Map and AfterBatch.
type hand struct {
	outcome outcome
	id, why string
	where   string     // its object's record in TRASH, if that mattered
	move    *trashMove // nil = the object stays where it is
}

// newWorker makes the worker of a partition.
func (s *Service) newWorker(partition int) *worker {
	w := &worker{
		name: relayName(partition), partition: partition, bus: s.bus, events: s.events, trash: s.trash, sweep: s.sweep, deletions: s.hooks.deletions,
		stats: s.stats, log: s.log, trace: s.trace, maxEvent: s.maxEvent,
	}
	_ = w.Open(context.Background(), event.Cursor{}) // it never fails
	return w
}

// relayPrefix begins the names of the relays, one for each partition.
const relayPrefix = "objectevent-"

func relayName(partition int) string { return relayPrefix + strconv.Itoa(partition) }

// Open forgets everything: another worker may have been at work since.
func (w *worker) Open(context.Context, event.Cursor) error {
	w.hand, w.ids, w.moving = map[uint64]*hand{}, map[string]uint64{}, map[string]uint64{}
	w.versions, w.trashy, w.lookout = newVersions(), map[string]bool{}, newLookout(w.trash, w.partition)
	return nil
}

// errFirst ends the batch: what is before this operation must be stored first.
var errFirst = fault.New(fault.Unavailable, "the operation before it is not stored yet")

// Map says what follows from an operation.
func (w *worker) Map(ctx context.Context, m relay.Message) (relay.Effects, error) {
	w.settled(m.At.Seq) // it failed after this, and is asked about again
	o, err := readOperation(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored})
	ctx, span := w.trace.Start(ctx, "objectevent.decide", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	span.SetAttributes(attribute.String(telemetry.KeyEventID, o.ID), attribute.String(telemetry.KeySubject, m.Subject))
	h := &hand{id: o.Tenant + " " + o.ID}
	if twin, ok := w.ids[h.id]; ok && twin != m.At.Seq {
		return relay.Effects{}, errFirst
	}
	var e relay.Effects
	if err == nil {
		e, err = w.decide(ctx, m, &o, h)
	}
	if refusal(err) {
		e, err = w.refuse(ctx, m, &o, h, err)
	}
	if err != nil {
		return relay.Effects{}, err
	}
	w.hand[m.At.Seq], w.ids[h.id] = h, m.At.Seq
	w.log.Debug("operation decided", telemetry.KeyEventID, o.ID, telemetry.KeySubject, m.Subject, "outcome", h.outcome)
	return e, nil
}

// refusal says whether an error is the operation's own fault. Everything else is
// ours, and passes.
func refusal(err error) bool {
	kind := fault.CodeOf(err).Kind()
	return err != nil && kind != fault.Down && kind != fault.Ours
}

// done counts an operation that has been stored, and lets go of it.
func (w *worker) done(m relay.Message) {
	h := w.hand[m.At.Seq]
	if h == nil {
		return // stored by another worker, who has counted it or died before
	}
	if m.Known {
		h.outcome = outcomeDuplicate
	}
	w.stats.operations.WithLabelValues(string(h.outcome), h.why).Inc()
	w.stats.seconds.Observe(max(time.Since(m.Stored).Seconds(), 0))
	w.settled(m.At.Seq)
}

// settled lets go of an operation.
func (w *worker) settled(seq uint64) {
	h := w.hand[seq]
	if h == nil {
		return
	}
	delete(w.hand, seq)
	if w.ids[h.id] == seq {
		delete(w.ids, h.id)
	}
	if w.lookout.forget(h.where); h.move != nil && w.moving[h.where] == seq {
		delete(w.moving, h.where)
	}
}
