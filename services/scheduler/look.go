package scheduler

import (
	"context"
	"encoding/json"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
)

// What is changed may be decided by an old definition: it is changed only if it is still
// so, and else decided anew. What is left alone, because there is no such schedule or a
// due message is none of its own, is decided once; and a schedule that nobody touches any
// more stands still for ever. The leader's word is not enough for that: one that has been
// deposed, and does not know yet, has neither the schedule nor the message. So whoever
// answers must have come as far as the message.

// view is what SCHEDULES has of a schedule at one moment.
type view struct {
	kept
	waiting []dueDoc // armed, or due and not settled
}

// looks is how many replicas are asked, one after the other, by chance.
const looks = 3

// look is what somebody has of a schedule who has the stream as far as a sequence. Code
// unavailable.
func (s *store) look(ctx context.Context, a subject.Schedule, since uint64) (v view, err error) {
	for range looks {
		found, upTo, err := s.latest(ctx, a)
		if err != nil {
			return v, fault.Wrap(fault.Unavailable, err, "stream %s does not answer", Schedules)
		}
		if upTo >= since {
			return viewOf(a, found)
		}
	}
	// That there is nothing at all comes without a position. It is believed if nobody
	// whom we ask has anything: the message itself was taken out meanwhile.
	if v.kept, err = s.load(ctx, a); err != nil || v.definition == nil {
		return v, err
	}
	return v, stream.Behind(Schedules)
}

func (s *store) latest(ctx context.Context, a subject.Schedule) (map[string]stream.Message, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.of(Schedules).Latest(ctx, s.b.NC, []string{
		a.Definition(), a.Armed(), a.Due(subject.WayEvent), a.Due(subject.WayClock), a.Due(subject.WayRealtime),
	})
}

func viewOf(a subject.Schedule, found map[string]stream.Message) (v view, err error) {
	for subj, m := range found {
		if subj == a.Definition() {
			if v.kept, err = definitionOf(&m); err != nil {
				return v, err
			}
			continue
		}
		var doc dueDoc
		if json.Unmarshal(m.Data, &doc) == nil {
			v.waiting = append(v.waiting, doc)
		}
	}
	return v, nil
}

// loadFor is load for a due message. What is not the message's own schedule, or is older
// than it, is looked at once more.
func (s *store) loadFor(ctx context.Context, a subject.Schedule, due dueDoc, seq uint64) (kept, error) {
	have, err := s.load(ctx, a)
	if err != nil || have.definition != nil && have.Arming >= due.Arming {
		return have, err
	}
	v, err := s.look(ctx, a, seq)
	return v.kept, err
}

// lookAfter is what is done about a due message that has no effect: what is left of
// a deleted schedule goes, and a schedule that there is may have to be armed again.
func (s *store) lookAfter(ctx context.Context, a subject.Schedule, due dueDoc, seq uint64) error {
	have, err := s.look(ctx, a, seq)
	if err != nil {
		return err
	}
	if due.Run != nil || !have.live() {
		return s.remove(ctx, seq)
	}
	return s.heal(ctx, have)
}

// heal arms again what should be armed and is not. The server takes an armed
// message away when it fires it, by subject: one that was written between its
// decision and its doing goes with it. What it fired then comes with an old arming,
// and whoever meets such a one looks here.
func (s *store) heal(ctx context.Context, have view) error {
	if !have.live() || have.Armed == nil {
		return nil
	}
	for _, doc := range have.waiting {
		if doc.Arming == have.Arming {
			return nil
		}
	}
	to := *have.definition
	to.Arming++
	if err := s.commit(ctx, change{have.revision, &to}); err != nil && !conflicted(err) {
		return err
	}
	return nil
}
