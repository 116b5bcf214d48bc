package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// What goes out over core NATS goes out at least once, with an id that says which
// occurrence it is: sent, then settled, then acknowledged. Any replica takes any
// occurrence; a schedule has at most one that is due, so its own stay in order.
//
//	due.clock.… ─▶ decide ─▶ clock.…                   ─▶ settle ─▶ acknowledge
//	due.rt.…    ─▶ decide ─▶ rt.… if anybody is there  ─▶ settle ─▶ acknowledge
//
// The clock and the notices have a durable each, so that windows that do not answer
// cannot delay the clock; and many notices are under way at once, so that they
// cannot delay other notices.

// Names of the durables, and how long somebody may hold a due message without a
// sign of life before another replica gets it.
const (
	clockDurable  = "scheduler-clock"
	noticeDurable = "scheduler-notice"

	clockAckWait  = 3 * time.Second
	noticeAckWait = 10 * time.Second
)

// endless: a due message is never given up, because its schedule would stand still.
const endless = 1 << 30

func (s *Service) liveOptions(durable string, way subject.Way, ackWait time.Duration, workers int) bus.ConsumeOptions {
	return bus.ConsumeOptions{
		Stream: Schedules,
		Consumer: jetstream.ConsumerConfig{
			Durable: durable, Description: "due occurrences that become " + string(way) + ".…", FilterSubject: way.Due(),
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 4 * workers,
		},
		MaxAttempts: endless, Workers: workers, Prefetch: workers, PullExpiry: s.pace.pull,
		Backoff: []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second},
	}
}

// takeDue handles one due message of either way.
func (s *Service) takeDue(ctx context.Context, m jetstream.Msg) error {
	due, address, err := readDue(m.Data())
	if err != nil {
		return err // a dead letter
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	have, err := s.store.loadFor(ctx, address, due, meta.Sequence.Stream)
	if err != nil {
		return err
	}
	switch {
	case due.Run != nil && have.live():
		err = s.runLive(ctx, have, *due.Run)
	case have.awaits(due):
		return s.occurLive(ctx, have, meta.NumDelivered, meta.Sequence.Stream)
	default:
		s.metrics.stale.Inc()
		return s.store.lookAfter(ctx, address, due, meta.Sequence.Stream)
	}
	if err != nil {
		return err
	}
	return s.store.remove(ctx, meta.Sequence.Stream)
}

// occurLive decides about the armed occurrence, sends it and settles it.
func (s *Service) occurLive(ctx context.Context, have kept, attempt, seq uint64) error {
	now := s.now()
	if have.Armed.Forget {
		return s.end(ctx, have, seq)
	}
	rule, err := s.store.rules.parse(have.Rule)
	if err != nil {
		return err
	}
	v := have.decide(rule, now)
	entries := have.entries(v, outFired, now)
	if v.fire != nil {
		sent, err := s.send(ctx, have.definition, *v.fire, zoneOf(rule), attempt)
		if err != nil {
			return err
		}
		entries[len(entries)-1] = sent
	}
	if err := s.commitAll(ctx, []change{{have.revision, have.apply(rule, v, now, s.config.KeepEnded)}}); err != nil {
		return err
	}
	s.metrics.decided(have.Action.way(), v, now)
	if have.Tenant != subject.Platform {
		s.history.write(ctx, note{have.address(), entries})
	} else if v.fire == nil {
		s.log.Info("time event not raised, too late", "name", have.ID, "count", v.missed())
	}
	return nil
}

func (s *Service) runLive(ctx context.Context, have kept, r run) error {
	rule, err := s.store.rules.parse(have.Rule)
	if err != nil {
		return err
	}
	e, err := s.send(ctx, have.definition, have.handFire(r, s.now()), zoneOf(rule), noticeAttempts)
	if err != nil {
		return err
	}
	s.metrics.fired.WithLabelValues(string(have.Action.way())).Inc()
	s.history.write(ctx, note{have.address(), []entry{e}})
	return nil
}

// send sends an occurrence and says what became of it. Its error means: again.
func (s *Service) send(ctx context.Context, d *definition, f fire, zone *time.Location, attempt uint64) (entry, error) {
	if c := d.Action.Clock; c != nil {
		// A connection that is away would keep it and send it whenever it is back;
		// time events are never queued.
		if !s.bus.NC.IsConnected() {
			return entry{}, fault.New(fault.Unavailable, "not connected to NATS")
		}
		if err := s.bus.NC.PublishMsg(c.timeEvent(f, zone)); err != nil {
			return entry{}, fault.Wrap(fault.Unavailable, err, "time event %s", d.ID)
		}
		return entryOf(f, outFired), nil
	}
	return s.notice(ctx, d, f, zone, attempt)
}

// noticeAttempts is how often a notice is tried before the history says that it
// could not be sent; the schedule goes on.
const noticeAttempts = 4

// notice reaches whoever is there.
func (s *Service) notice(ctx context.Context, d *definition, f fire, zone *time.Location, attempt uint64) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.NotifyTimeout)
	defer cancel()
	n := d.Action.Notify
	connections, err := s.notify(ctx, d.Tenant, n.User, n.Code, func(context.Context) (event.Event, error) {
		return d.event(f, zone), nil
	})
	e := entryOf(f, outReached)
	switch code := fault.CodeOf(err); {
	case err == nil:
		e.Connections = connections
	case code == fault.NobodyThere:
		e.Outcome = outNobody
	case attempt < noticeAttempts && (code.Kind() == fault.Down || errors.Is(err, context.DeadlineExceeded)):
		return entry{}, err
	default:
		e.Outcome, e.Reason = outFailed, string(code)
		s.log.Warn("notice not sent", "schedule", d.ID, telemetry.KeyCode, code, telemetry.Err(err))
	}
	s.metrics.notices.WithLabelValues(e.Outcome).Inc()
	return e, nil
}
