package scheduler

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

const maxText = 1024 // of descriptions and notes

// Create implements the contract.
func (s *Service) Create(ctx context.Context, r *schedulerv1.CreateRequest) (*schedulerv1.CreateResponse, error) {
	id := r.GetId()
	if id == "" {
		id = event.NewID()
	}
	a, err := s.ask(ctx, r.GetTenant(), id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	d := &definition{
		Tenant: a.tenant, ID: id, Owner: a.who.Subject, Created: now.UTC(), Revision: 1,
	}
	rule, err := s.say(d, r.GetDescription(), r.GetRule(), r.GetAction(), r.GetCatchUp())
	if err != nil {
		return nil, err
	}
	if err := a.who.Decide(d.Action.need(a.tenant)); err != nil {
		return nil, err
	}
	d.first(rule, now)
	if r.GetPaused() {
		d.Paused = &paused{At: now.UTC(), By: a.who.Subject}
	} else {
		d.rearm(rule, now, s.config.KeepEnded)
	}
	kept, err := s.create(ctx, a, d, rule)
	if err != nil {
		return nil, err
	}
	return &schedulerv1.CreateResponse{Schedule: kept.message()}, nil
}

// create stores a new schedule, unless it is there already.
func (s *Service) create(ctx context.Context, a asked, d *definition, rule calendar.Rule) (*definition, error) {
	for {
		have, err := s.store.load(ctx, a.address)
		if err != nil {
			return nil, err
		}
		if have.live() {
			if a.may(have.definition) && sameWords(have.definition, d) {
				return have.definition, nil
			}
			return nil, fault.Field(fault.ScheduleExists, "id", "another schedule has it")
		}
		if err := d.checkFuture(rule); err != nil {
			return nil, err
		}
		if have.definition != nil {
			d.Arming = have.Arming + 1 // what fell due of the deleted one is not ours
		}
		if err := s.quotas.take(ctx, a.tenant); err != nil {
			return nil, err
		}
		if err := s.store.commit(ctx, change{have.revision, d}); !conflicted(err) {
			return d, err
		}
	}
}

// checkFuture refuses a rule that has nothing to fire after what is settled. One that
// was made in time and has ended since is another matter.
func (d *definition) checkFuture(rule calendar.Rule) error {
	if _, fires := rule.Next(d.Settled); fires {
		return nil
	}
	field := "exclude"
	switch {
	case d.Rule.At != "":
		field = "at"
	case d.Rule.End != "":
		field = "end"
	}
	return fault.Field(fault.InvalidSchedule, field, "the rule does not fire any more: its last occurrence has passed")
}

// say fills in what a user says about a schedule, checked.
func (s *Service) say(d *definition, description string, r *schedulerv1.Rule, a *schedulerv1.Action, c *schedulerv1.CatchUp) (rule calendar.Rule, err error) {
	if err := checkLine("description", description); err != nil {
		return rule, err
	}
	d.Description, d.Rule, d.Action = description, specOf(r), actionOf(a)
	if rule, err = s.store.rules.parse(d.Rule); err != nil {
		return rule, err
	}
	if d.CatchUp, err = catchUpOf(c); err != nil {
		return rule, err
	}
	return rule, d.checkAction(s.maxEvent)
}

func checkLine(field, text string) error {
	if len(text) > maxText {
		return fault.Field(fault.InvalidRequest, field, "%d bytes are above the maximum of %d", len(text), maxText)
	}
	return nil
}

// first settles what was before a schedule began. A single moment that has passed
// is not: whoever names one wants it to happen.
func (d *definition) first(rule calendar.Rule, now time.Time) {
	if at := rule.At; !at.IsZero() && at.Before(now) && at.After(d.Last) {
		d.Settled = at.Add(-1)
		return
	}
	d.begin(now)
}

// sameWords says that two schedules were made by the same words.
func sameWords(a, b *definition) bool {
	return a.Description == b.Description && reflect.DeepEqual(a.Rule, b.Rule) &&
		string(encode(a.Action)) == string(encode(b.Action)) && a.CatchUp == b.CatchUp
}

// Get implements the contract.
func (s *Service) Get(ctx context.Context, r *schedulerv1.GetRequest) (*schedulerv1.GetResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	have, err := s.find(ctx, a)
	if err != nil {
		return nil, err
	}
	return &schedulerv1.GetResponse{Schedule: have.message()}, nil
}

// Update implements the contract.
func (s *Service) Update(ctx context.Context, r *schedulerv1.UpdateRequest) (*schedulerv1.UpdateResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	if r.GetRevision() <= 0 {
		return nil, fault.Field(fault.InvalidRequest, "revision", "is required: the one you have seen")
	}
	m, err := s.edit(ctx, a, func(d *definition) (bool, error) {
		if d.Revision != r.GetRevision() {
			return false, fault.Field(fault.Conflict, "revision", "is %d by now, not %d; read the schedule again", d.Revision, r.GetRevision())
		}
		before, wasEnded := d.Rule, d.state() == stateEnded
		rule, err := s.say(d, r.GetDescription(), r.GetRule(), r.GetAction(), r.GetCatchUp())
		if err != nil {
			return false, err
		}
		if err := a.who.Decide(d.Action.need(a.tenant)); err != nil {
			return false, err
		}
		now := s.now()
		d.Revision++
		changed := !reflect.DeepEqual(before, d.Rule)
		if wasEnded || changed {
			d.first(rule, now)
		}
		if changed {
			if err := d.checkFuture(rule); err != nil {
				return false, err
			}
		}
		if d.Paused == nil {
			d.rearm(rule, now, s.config.KeepEnded)
		}
		return true, nil
	})
	return &schedulerv1.UpdateResponse{Schedule: m}, err
}

// Delete implements the contract.
func (s *Service) Delete(ctx context.Context, r *schedulerv1.DeleteRequest) (*schedulerv1.DeleteResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	have, err := s.store.load(ctx, a.address)
	if err != nil {
		return nil, err
	}
	if a.may(have.definition) {
		err = s.store.forget(ctx, a.address)
		s.quotas.released(a.tenant)
	}
	return &schedulerv1.DeleteResponse{}, err
}

// Pause implements the contract.
func (s *Service) Pause(ctx context.Context, r *schedulerv1.PauseRequest) (*schedulerv1.PauseResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	if err := checkLine("note", r.GetNote()); err != nil {
		return nil, err
	}
	m, err := s.edit(ctx, a, func(d *definition) (bool, error) {
		if d.Paused != nil {
			return false, nil
		}
		d.Paused = &paused{At: s.now().UTC(), By: a.who.Subject, Note: r.GetNote()}
		d.Revision++
		d.disarm()
		return true, nil
	})
	return &schedulerv1.PauseResponse{Schedule: m}, err
}

// Resume implements the contract.
func (s *Service) Resume(ctx context.Context, r *schedulerv1.ResumeRequest) (*schedulerv1.ResumeResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	m, err := s.edit(ctx, a, func(d *definition) (bool, error) {
		if d.Paused == nil {
			return false, nil
		}
		rule, err := s.store.rules.parse(d.Rule)
		if err != nil {
			return false, err
		}
		d.Paused = nil
		d.Revision++
		d.begin(s.now())
		d.rearm(rule, s.now(), s.config.KeepEnded)
		return true, nil
	})
	return &schedulerv1.ResumeResponse{Schedule: m}, err
}

// RunNow implements the contract.
func (s *Service) RunNow(ctx context.Context, r *schedulerv1.RunNowRequest) (*schedulerv1.RunNowResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	have, err := s.find(ctx, a)
	if err != nil {
		return nil, err
	}
	hand := run{ID: event.NewID(), At: s.now().UTC(), By: a.who.Subject}
	subj := a.address.Run(have.Action.way(), hand.ID)
	if err := s.store.put(ctx, subj, dueDoc{Tenant: a.tenant, ID: have.ID, Run: &hand}); err != nil {
		return nil, err
	}
	return &schedulerv1.RunNowResponse{Occurrence: have.handFire(hand, hand.At).ID}, nil
}

// List implements the contract.
func (s *Service) List(ctx context.Context, r *schedulerv1.ListRequest) (*schedulerv1.ListResponse, error) {
	tenant, err := s.tenant(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	a := asked{who: api.PrincipalOf(ctx), tenant: tenant}
	limit, err := within("limit", r.Limit, 100, 1000)
	if err != nil {
		return nil, err
	}
	if state := r.GetState(); !slices.Contains([]string{"", stateArmed, statePaused, stateEnded}, state) {
		return nil, fault.Field(fault.InvalidRequest, "state", "%.32q is none of armed, paused and ended", state)
	}
	epoch, err := s.epoch(ctx)
	if err != nil {
		return nil, err
	}
	at := event.Cursor{Epoch: epoch}
	if r.GetAfter() != "" {
		if at, err = event.ParseCursor(r.GetAfter()); err != nil {
			return nil, err
		}
		if at.Epoch != epoch {
			return nil, fault.Field(fault.InvalidCursor, "after", "is of another life of the stream; begin again")
		}
	}
	pattern := subject.TenantSchedules(tenant)
	answer := &schedulerv1.ListResponse{Schedules: []*schedulerv1.Schedule{}}
	end := uint64(0) // where the tenant's last one is
	for looked := 0; ; looked++ {
		if at.Seq >= end {
			last, err := s.store.last(ctx, Schedules, pattern)
			if err != nil {
				return nil, err
			}
			if last == nil || at.Seq >= last.Seq {
				break
			}
			end = last.Seq // one that was changed meanwhile has moved there
		}
		m, err := s.store.after(ctx, Schedules, pattern, at.Seq+1)
		if err != nil {
			return nil, err
		}
		if m == nil {
			break
		}
		// A caller who may see few of many gets short pages rather than slow ones.
		if len(answer.GetSchedules()) == limit || looked == maxLooked {
			answer.More = true
			break
		}
		at.Seq = m.Seq
		have, err := definitionOf(m)
		if err != nil {
			return nil, err
		}
		if a.may(have.definition) && (r.GetState() == "" || r.GetState() == have.state()) {
			answer.Schedules = append(answer.Schedules, have.message())
		}
	}
	answer.Cursor = at.String()
	return answer, nil
}

// maxLooked is how many schedules one page may cost.
const maxLooked = 2000

// within is an optional number of a request.
func within(field string, given *int32, standard, most int) (int, error) {
	if given == nil {
		return standard, nil
	}
	if *given < 1 || int(*given) > most {
		return 0, fault.Field(fault.InvalidRequest, field, "%d is not between 1 and %d", *given, most)
	}
	return int(*given), nil
}
