package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Headers of JetStream's message schedules (ADR-51) and of its expectations. The
// client library writes @at in whole seconds, which is up to one too early.
const (
	headerAt       = "Nats-Schedule"
	headerTarget   = "Nats-Schedule-Target"
	headerRollup   = "Nats-Schedule-Rollup"
	headerArmed    = "Nats-Scheduler"     // with headerNext "purge": disarms this subject
	headerNext     = "Nats-Schedule-Next" //
	headerTTL      = "Nats-TTL"
	headerExpected = "Nats-Expected-Last-Subject-Sequence"
)

const (
	callTimeout = 2 * time.Second
	remainsFor  = 24 * time.Hour // what remains of a deleted schedule, so that a late writer is refused
)

// store is SCHEDULES: definitions and what is armed. What is changed is read from the
// stream's leader, and changed only if it is still so; see look for what is left alone.
type store struct {
	b      *bus.Bus
	ask    stream.Caller
	rules  *rules
	gather gatherer // of changes that come one by one
}

func newStore(b *bus.Bus) *store {
	s := &store{b: b, ask: stream.Conn{NC: b.NC, Within: callTimeout}, rules: newRules()}
	s.gather.commit = s.batch
	return s
}

// kept is a definition as it is in the stream.
type kept struct {
	*definition
	revision uint64 // its sequence; 0 = there is none
}

// load reads a definition; one that was deleted or never was is not live.
func (s *store) load(ctx context.Context, a subject.Schedule) (kept, error) {
	m, err := s.last(ctx, Schedules, a.Definition())
	if err != nil || m == nil {
		return kept{}, err
	}
	return definitionOf(m)
}

func definitionOf(m *stream.Message) (kept, error) {
	d := new(definition)
	if err := json.Unmarshal(m.Data, d); err != nil {
		return kept{}, fault.Wrap(fault.Internal, err, "the message under %s is no schedule", m.Subject)
	}
	return kept{d, m.Seq}, nil
}

// change replaces what is kept by another definition of the same schedule.
type change struct {
	from uint64 // revision
	to   *definition
}

// messages are a change as part of a batch: the definition, guarded by its
// revision, and what is armed. A definition without anything armed disarms.
func (c change) messages() []*nats.Msg {
	a := c.to.address()
	def := &nats.Msg{Subject: a.Definition(), Data: encode(c.to), Header: nats.Header{
		headerExpected: {strconv.FormatUint(c.from, 10)},
	}}
	if c.to.Deleted {
		def.Header.Set(headerTTL, strconv.Itoa(int(remainsFor/time.Second)))
	}
	if c.to.Armed == nil {
		def.Header.Set(headerArmed, a.Armed())
		def.Header.Set(headerNext, "purge")
		return []*nats.Msg{def}
	}
	return []*nats.Msg{def, {
		Subject: a.Armed(),
		Data:    encode(dueDoc{Tenant: c.to.Tenant, ID: c.to.ID, Arming: c.to.Arming}),
		Header: nats.Header{
			headerAt:     {"@at " + c.to.Armed.At.UTC().Format(time.RFC3339Nano)},
			headerTarget: {a.Due(c.to.Action.way())},
			headerRollup: {"sub"},
		},
	}}
}

// maxChanges is how many changes fit into one batch.
const maxChanges = bus.MaxBatch / 2

// commit makes all changes or none. Code conflict when one was made on something
// that is no longer the newest; unavailable when it is not known what became of it.
// One alone shares a batch with others that are made at the same time.
func (s *store) commit(ctx context.Context, changes ...change) error {
	if len(changes) == 1 {
		return s.gather.add(ctx, changes[0])
	}
	return s.batch(ctx, changes...)
}

func (s *store) batch(ctx context.Context, changes ...change) error {
	var msgs []*nats.Msg
	for _, c := range changes {
		msgs = append(msgs, c.messages()...)
	}
	_, err := s.b.PublishBatch(ctx, msgs)
	return err
}

// conflicted says that nothing was stored because somebody else was faster.
func conflicted(err error) bool { return errors.Is(err, bus.ErrExpectation) }

// change loads a schedule, lets edit change a copy, and stores it, again and again
// while others are faster. edit answers nil for no change.
func (s *store) change(ctx context.Context, a subject.Schedule, edit func(definition) (*definition, error)) (*definition, error) {
	for {
		have, err := s.load(ctx, a)
		if err != nil {
			return nil, err
		}
		if !have.live() {
			return nil, unknown()
		}
		to, err := edit(*have.definition)
		if err != nil {
			return nil, err
		}
		if to == nil {
			return have.definition, nil
		}
		switch err := s.commit(ctx, change{have.revision, to}); {
		case err == nil:
			return to, nil
		case !conflicted(err):
			return nil, err
		}
	}
}

func unknown() error {
	return fault.Field(fault.ScheduleUnknown, "id", "there is no such schedule")
}

// forget deletes a schedule: what remains of it refuses late writers for a day.
func (s *store) forget(ctx context.Context, a subject.Schedule) error {
	return s.bury(ctx, a, s.commit, func(have kept) *definition {
		if !have.live() {
			return nil
		}
		return have.remains()
	})
}

// bury puts what remains of a schedule in its place, nil for nothing to do, and removes
// what has fallen due of it.
func (s *store) bury(ctx context.Context, a subject.Schedule, put func(context.Context, ...change) error, remains func(kept) *definition) error {
	for {
		have, err := s.load(ctx, a)
		if err != nil {
			return err
		}
		to := remains(have)
		if to == nil {
			return nil
		}
		switch err := put(ctx, change{have.revision, to}); {
		case conflicted(err):
			continue
		case err != nil:
			return err
		}
		m, err := s.last(ctx, Schedules, a.Due(to.Action.way()))
		if err != nil || m == nil {
			return err
		}
		return s.remove(ctx, m.Seq)
	}
}

// remains is what is kept of a deleted schedule.
func (d *definition) remains() *definition {
	return &definition{
		Tenant: d.Tenant, ID: d.ID, Action: d.Action, Created: d.Created, Arming: d.Arming + 1,
		Last: d.Last, Settled: d.Settled, Deleted: true,
	}
}

// subjects are the subjects that there are under a pattern. The server knows them
// all in memory: unlike a walk from message to message, this reads nothing from
// the disk, however many others there are. For patterns that match few.
func (s *store) subjects(ctx context.Context, pattern string) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	schedules, err := s.b.JS.Stream(ctx, Schedules)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "stream %s does not answer", Schedules)
	}
	info, err := schedules.Info(ctx, jetstream.WithSubjectFilter(pattern))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "stream %s does not list its subjects", Schedules)
	}
	return info.State.Subjects, nil
}

// of is a stream that is read here. Its leader answers: the client library's own
// reads may be answered by any replica.
func (s *store) of(name string) stream.Stream {
	return stream.Stream{Caller: s.ask, Name: name}
}

// after is the first message under a pattern at or after a sequence; nil if there
// is none. Behind the last one of a pattern the server looks through all that
// there is, so whoever walks asks [store.last] where the end is.
func (s *store) after(ctx context.Context, name, pattern string, seq uint64) (*stream.Message, error) {
	return found(s.of(name).First(ctx, pattern, seq))
}

// last is the newest message under a subject; nil if there is none.
func (s *store) last(ctx context.Context, name, subj string) (*stream.Message, error) {
	return found(s.of(name).Last(ctx, subj))
}

func found(m stream.Message, ok bool, err error) (*stream.Message, error) {
	if !ok {
		return nil, err
	}
	return &m, nil
}

// remove deletes one message; that it is gone already is success.
func (s *store) remove(ctx context.Context, seq uint64) error {
	if err := s.of(Schedules).Remove(ctx, seq); err != nil {
		return fault.Wrap(fault.Unavailable, err, "message %d is not removed", seq)
	}
	return nil
}

// count is how many messages lie under a pattern. The server counts while it makes
// a consumer, which is then removed; asking it for the subjects would list them.
func (s *store) count(ctx context.Context, pattern string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.b.JS.CreateConsumer(ctx, Schedules, jetstream.ConsumerConfig{
		Description: "counts " + pattern, FilterSubject: pattern, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, InactiveThreshold: 5 * time.Second, Replicas: 1,
	})
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "schedules cannot be counted")
	}
	info := c.CachedInfo()
	_ = s.b.JS.DeleteConsumer(ctx, Schedules, info.Name) // else the server does, in five seconds
	return info.NumPending, nil
}

// countRemains is how many of the definitions under a pattern are what remains of
// deleted schedules: those that will go by themselves. It reads the headers of all.
func (s *store) countRemains(ctx context.Context, pattern string) (n uint64, err error) {
	consumer, err := s.b.JS.OrderedConsumer(ctx, Schedules, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{pattern}, HeadersOnly: true, InactiveThreshold: 5 * time.Second,
	})
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "deleted schedules cannot be counted")
	}
	const page = 5000
	for {
		batch, err := consumer.FetchNoWait(page)
		if err != nil {
			return 0, fault.Wrap(fault.Unavailable, err, "deleted schedules cannot be counted")
		}
		read := 0
		for m := range batch.Messages() {
			if read++; m.Headers().Get(headerTTL) != "" {
				n++
			}
		}
		if err := batch.Error(); err != nil {
			return 0, fault.Wrap(fault.Unavailable, err, "deleted schedules cannot be counted")
		}
		if read == 0 {
			return n, nil
		}
	}
}

// put publishes one message of a run by hand.
func (s *store) put(ctx context.Context, subj string, doc dueDoc) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m := &nats.Msg{Subject: subj, Data: encode(doc), Header: nats.Header{}}
	telemetry.Inject(ctx, m.Header)
	if _, err := s.b.JS.PublishMsg(ctx, m); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the run is not stored")
	}
	return nil
}
