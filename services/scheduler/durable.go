package scheduler

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// durable brings occurrences into EVENTS, each once. It is the owner of the relay
// "scheduler", and used by its one worker at a time.
//
//	due.evt.… ─▶ decide ─▶ EVENTS: event, record of the occurrence, cursor (one batch)
//	                        └─▶ settle ─▶ SCHEDULES: definitions, armed again (one batch)
//	                                       └─▶ history ─▶ acknowledge
//
// Two fences keep an occurrence from being stored twice. The relay's cursor: one
// due message is relayed once. The record, ctl.sched.<tenant>.<id>: a schedule's
// occurrences only ever go forward, so one that is not after the recorded one has
// been fired before, by another due message: the server fired twice, SCHEDULES
// is a backup, or a worker died between storing and settling.
type durable struct {
	*Service
	decided map[uint64]*decision        // by sequence of the due message, until settled
	busy    map[subject.Schedule]uint64 // which of them is a schedule's
}

// decision is what has been decided about a due message and is not settled yet.
type decision struct {
	due     dueDoc
	address subject.Schedule
	change  *change // nil: nothing to settle in SCHEDULES
	forgets bool    // the change is the schedule's last
	notes   []entry
}

// record is the last occurrence of a schedule that became an event.
type record struct {
	Nominal time.Time `json:"nominal"`
	Created time.Time `json:"created"` // of the schedule: another one may have had the id before
}

func (s *Service) newRelay() (*relay.Relay, error) {
	d := &durable{Service: s}
	d.reset()
	return relay.New(relay.Options{
		Name: "scheduler", Bus: s.bus, Source: Schedules, Filter: []string{subject.WayEvent.Due()}, Target: topology.Events,
		Map: d.decide, AfterBatch: d.settle,
		Open:      func(context.Context, event.Cursor) error { d.reset(); return nil },
		PinnedTTL: s.pace.pinned, Registry: s.registry, Log: s.log,
	})
}

func (d *durable) reset() {
	d.decided, d.busy = map[uint64]*decision{}, map[subject.Schedule]uint64{}
}

// decide is the relay's Map.
func (d *durable) decide(ctx context.Context, m relay.Message) (relay.Effects, error) {
	delete(d.decided, m.At.Seq)
	due, address, err := readDue(m.Data)
	if err != nil {
		return relay.Effects{}, err
	}
	if seq := d.busy[address]; seq != 0 && seq != m.At.Seq {
		// An earlier one of the same schedule first has to be settled.
		return relay.Effects{}, fault.New(fault.Unavailable, "an earlier occurrence is not settled yet")
	}
	have, err := d.store.loadFor(ctx, address, due, m.At.Seq)
	if err != nil {
		return relay.Effects{}, err
	}
	dec := &decision{due: due, address: address}
	var effects relay.Effects
	switch {
	case due.Run != nil && have.live():
		effects, err = d.runByHand(have, dec)
	case have.awaits(due):
		effects, err = d.occur(ctx, have, dec)
	default:
		d.metrics.stale.Inc()
	}
	if err != nil {
		return relay.Effects{}, err
	}
	d.decided[m.At.Seq], d.busy[address] = dec, m.At.Seq
	return effects, nil
}

// occur decides about the armed occurrence.
func (d *durable) occur(ctx context.Context, have kept, dec *decision) (effects relay.Effects, err error) {
	now := d.now()
	if have.Armed.Forget {
		dec.change, dec.forgets = &change{have.revision, have.remains()}, true
		return effects, nil
	}
	rule, err := d.store.rules.parse(have.Rule)
	if err != nil {
		return effects, err
	}
	v := have.decide(rule, now)
	if v.fire != nil {
		if effects.Msgs, err = d.messages(ctx, have, *v.fire, zoneOf(rule)); err != nil {
			return effects, err
		}
	}
	dec.change = &change{have.revision, have.apply(rule, v, now, d.config.KeepEnded)}
	dec.notes = have.entries(v, outFired, now)
	d.metrics.decided(subject.WayEvent, v, now)
	return effects, nil
}

// messages are the event of an occurrence and its record; none if it is recorded.
func (d *durable) messages(ctx context.Context, have kept, f fire, zone *time.Location) ([]*nats.Msg, error) {
	subj := have.address().Record()
	last, err := d.store.last(ctx, topology.Events, subj)
	if err != nil {
		return nil, err
	}
	expected := uint64(0)
	if last != nil {
		expected = last.Seq
		var r record
		if json.Unmarshal(last.Data, &r) == nil && r.Created.Equal(have.Created) && !f.Nominal.After(r.Nominal) {
			return nil, nil
		}
	}
	e := have.event(f, zone)
	m, err := e.Msg()
	if err != nil {
		return nil, err
	}
	return []*nats.Msg{m, {
		Subject: subj, Data: encode(record{f.Nominal, have.Created}),
		Header: nats.Header{headerExpected: {strconv.FormatUint(expected, 10)}},
	}}, nil
}

// runByHand fires once and leaves the schedule as it is.
func (d *durable) runByHand(have kept, dec *decision) (effects relay.Effects, err error) {
	rule, err := d.store.rules.parse(have.Rule)
	if err != nil {
		return effects, err
	}
	f := have.handFire(*dec.due.Run, d.now())
	e := have.event(f, zoneOf(rule))
	m, err := e.Msg()
	if err != nil {
		return effects, err
	}
	effects.Msgs = []*nats.Msg{m}
	dec.notes = []entry{entryOf(f, outFired)}
	d.metrics.fired.WithLabelValues(string(subject.WayEvent)).Inc()
	return effects, nil
}

// handFire is a run by hand as an occurrence.
func (d *definition) handFire(r run, now time.Time) fire {
	return fire{ID: d.ID + "@run-" + r.ID, Nominal: r.At, Actual: now, By: r.By}
}

// settle is the relay's AfterBatch: the events are stored, the schedules go on. It
// is called again with the same messages after a failure.
func (d *durable) settle(ctx context.Context, ms []relay.Message) error {
	var changes []change
	var notes []note
	var changed []*decision
	for _, m := range ms {
		dec, ok := d.decided[m.At.Seq]
		if !ok {
			if err := d.recover(ctx, m); err != nil {
				return err
			}
			continue
		}
		if dec.change == nil {
			if err := d.store.lookAfter(ctx, dec.address, dec.due, m.At.Seq); err != nil {
				return err
			}
		} else {
			changes, changed = append(changes, *dec.change), append(changed, dec)
		}
		notes = append(notes, note{dec.address, dec.notes})
	}
	if err := d.commitAll(ctx, changes); err != nil {
		return err
	}
	for _, dec := range changed {
		dec.change = nil // a second call has nothing to do but look
	}
	for _, m := range ms {
		if dec := d.decided[m.At.Seq]; dec != nil && dec.forgets {
			if err := d.store.remove(ctx, m.At.Seq); err != nil {
				return err
			}
		}
	}
	d.history.write(ctx, notes...)
	for _, m := range ms {
		if dec := d.decided[m.At.Seq]; dec != nil {
			delete(d.busy, dec.address)
			delete(d.decided, m.At.Seq)
		}
	}
	return nil
}

// commitAll stores changes of different schedules, many at once. Where somebody
// else was faster with one, that one is his.
func (s *Service) commitAll(ctx context.Context, changes []change) error {
	for len(changes) > 0 {
		n := min(len(changes), maxChanges)
		err := s.store.commit(ctx, changes[:n]...)
		switch {
		case err == nil:
		case !conflicted(err):
			return err
		case n > 1:
			// One of them spoils the batch. Halving finds it in few steps.
			if err := s.commitAll(ctx, changes[:n/2]); err != nil {
				return err
			}
			if err := s.commitAll(ctx, changes[n/2:n]); err != nil {
				return err
			}
		default:
			s.metrics.conflicts.Inc()
		}
		changes = changes[n:]
	}
	return nil
}

// end removes a schedule that had ended, and the due message that said so; unless
// somebody has given it a new rule meanwhile.
func (s *Service) end(ctx context.Context, have kept, seq uint64) error {
	if err := s.commitAll(ctx, []change{{have.revision, have.remains()}}); err != nil {
		return err
	}
	return s.store.remove(ctx, seq)
}

// recover settles what another worker relayed and did not settle. What that one
// decided is not known; that the armed occurrence was part of it is. The next one
// falls due at once if its time has passed, and the record tells whether it fired.
func (d *durable) recover(ctx context.Context, m relay.Message) error {
	due, address, err := readDue(m.Data)
	if err != nil {
		return nil // a dead letter by now
	}
	have, err := d.store.loadFor(ctx, address, due, m.At.Seq)
	if err != nil {
		return err
	}
	if !have.awaits(due) {
		return d.store.lookAfter(ctx, address, due, m.At.Seq)
	}
	if have.Armed.Forget {
		return d.end(ctx, have, m.At.Seq)
	}
	rule, err := d.store.rules.parse(have.Rule)
	if err != nil {
		return err
	}
	now := d.now()
	v := verdict{settled: have.Armed.Nominal, due: have.Armed.At}
	if last, err := d.store.last(ctx, topology.Events, address.Record()); err != nil {
		return err
	} else if last != nil {
		var r record
		if json.Unmarshal(last.Data, &r) == nil && r.Created.Equal(have.Created) && !r.Nominal.Before(have.Armed.Nominal) {
			v.settled, v.fire = r.Nominal, &fire{ID: have.occurrence(r.Nominal), Nominal: r.Nominal, Actual: m.Stored}
		}
	}
	if err := d.commitAll(ctx, []change{{have.revision, have.apply(rule, v, now, d.config.KeepEnded)}}); err != nil {
		return err
	}
	d.history.write(ctx, note{address, have.entries(v, outFired, now)})
	return nil
}

// readDue reads the body of a due message. Code invalid_request: then it is given up.
func readDue(data []byte) (due dueDoc, a subject.Schedule, err error) {
	if err := json.Unmarshal(data, &due); err != nil {
		return due, a, fault.Wrap(fault.InvalidRequest, err, "is no due occurrence")
	}
	if due.Tenant == subject.Platform {
		return due, subject.PlatformSchedule(due.ID), nil
	}
	a, err = subject.ScheduleOf(due.Tenant, due.ID)
	return due, a, err
}
