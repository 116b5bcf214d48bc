package scheduler

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/fault"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// The contract's messages and ours.

func specOf(r *schedulerv1.Rule) calendar.Spec {
	return calendar.Spec{
		Cron: r.GetCron(), Every: r.GetEvery(), Anchor: r.GetAnchor(), At: r.GetAt(), Zone: r.GetZone(),
		Start: r.GetStart(), End: r.GetEnd(), Exclude: r.GetExclude(), Jitter: r.GetJitter(), Gap: r.GetGap(), Overlap: r.GetOverlap(),
	}
}

func ruleMessage(s calendar.Spec) *schedulerv1.Rule {
	return &schedulerv1.Rule{
		Cron: s.Cron, Every: s.Every, Anchor: s.Anchor, At: s.At, Zone: s.Zone,
		Start: s.Start, End: s.End, Exclude: s.Exclude, Jitter: s.Jitter, Gap: s.Gap, Overlap: s.Overlap,
	}
}

func actionOf(a *schedulerv1.Action) action {
	if p := a.GetPublish(); p != nil {
		return action{Publish: &publish{Topic: p.GetTopic(), Verb: p.GetVerb(), Subject: p.GetSubject(), Data: string(p.GetData().GetJson())}}
	}
	if n := a.GetNotify(); n != nil {
		return action{Notify: &notify{User: n.GetUser(), Code: n.GetCode(), Data: string(n.GetData().GetJson())}}
	}
	return action{}
}

func actionMessage(a action) *schedulerv1.Action {
	if p := a.Publish; p != nil {
		return &schedulerv1.Action{Action: &schedulerv1.Action_Publish{Publish: &schedulerv1.Publish{
			Topic: p.Topic, Verb: p.Verb, Subject: p.Subject, Data: dataMessage(p.Data),
		}}}
	}
	if n := a.Notify; n != nil {
		return &schedulerv1.Action{Action: &schedulerv1.Action_Notify{Notify: &schedulerv1.Notify{
			User: n.User, Code: n.Code, Data: dataMessage(n.Data),
		}}}
	}
	return nil
}

func dataMessage(s string) *schedulerv1.Data {
	if s == "" {
		return nil
	}
	return &schedulerv1.Data{Json: []byte(s)}
}

// catchUpOf reads how to catch up; absent is once, however late.
func catchUpOf(c *schedulerv1.CatchUp) (catchUp, error) {
	to := catchUp{Policy: c.GetPolicy()}
	switch to.Policy {
	case "":
		to.Policy = once
	case once, all, skip:
	default:
		return to, fault.Field(fault.InvalidSchedule, "catchUp.policy", "%.64q is none of once, all and skip", to.Policy)
	}
	if text := c.GetWindow(); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return to, fault.Field(fault.InvalidSchedule, "catchUp.window", "%.64q is no duration above 0 (90s, 15m, 24h)", text)
		}
		to.Window = d
	}
	if c != nil && c.Limit != nil {
		const most = 1000
		switch {
		case to.Policy != all:
			return to, fault.Field(fault.InvalidSchedule, "catchUp.limit", "goes with the policy all")
		case c.GetLimit() < 1 || c.GetLimit() > most:
			return to, fault.Field(fault.InvalidSchedule, "catchUp.limit", "%d is not between 1 and %d", c.GetLimit(), most)
		}
		to.Limit = int(c.GetLimit())
	}
	return to, nil
}

func catchUpMessage(c catchUp) *schedulerv1.CatchUp {
	m := &schedulerv1.CatchUp{Policy: c.Policy}
	if c.Window > 0 {
		m.Window = c.Window.String()
	}
	if c.Policy == all {
		limit := int32(defaultLimit)
		if c.Limit > 0 {
			limit = int32(c.Limit)
		}
		m.Limit = &limit
	}
	return m
}

// message is a schedule as callers see it.
func (d *definition) message() *schedulerv1.Schedule {
	m := &schedulerv1.Schedule{
		Id: d.ID, Tenant: d.Tenant, Description: d.Description, Rule: ruleMessage(d.Rule), Action: actionMessage(d.Action),
		CatchUp: catchUpMessage(d.CatchUp), Owner: d.Owner, Created: timestamppb.New(d.Created), Revision: d.Revision,
		State: d.state(), Last: stamp(d.Last), Fired: uint32(min(d.Fired, 1<<32-1)), Missed: uint32(min(d.Missed, 1<<32-1)),
	}
	if d.state() == stateArmed {
		m.Next = stamp(d.Armed.Nominal)
	}
	if p := d.Paused; p != nil {
		m.Paused = &schedulerv1.Paused{At: stamp(p.At), By: p.By, Note: p.Note}
	}
	return m
}

// States as callers see them.
const (
	stateArmed  = "armed"
	statePaused = "paused"
	stateEnded  = "ended"
)

func (d *definition) state() string {
	switch {
	case d.Paused != nil:
		return statePaused
	case d.Armed != nil && !d.Armed.Forget:
		return stateArmed
	}
	return stateEnded
}

// stamp is a time, nil for none.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func (e entry) message() *schedulerv1.Entry {
	return &schedulerv1.Entry{
		Occurrence: e.Occurrence, Nominal: stamp(e.Nominal), At: stamp(e.At), Outcome: e.Outcome, Reason: e.Reason,
		Count: uint32(min(e.Count, 1<<32-1)), Connections: uint32(e.Connections), By: e.By,
	}
}
