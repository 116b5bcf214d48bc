package objectevent

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// TestHook implements the contract.
func (h *hooks) TestHook(ctx context.Context, r *objecteventv1.TestHookRequest) (*objecteventv1.TestHookResponse, error) {
	api.Administrative(ctx)
	tenant, p, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	k, err := h.store.find(ctx, tenant, r.GetName())
	if err != nil {
		return nil, err
	}
	q, mode, err := tryOut(tenant, k, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.Budget)
	defer cancel()
	asked := time.Now()
	a := h.caller.ask(ctx, q)
	h.verdicts.write(ctx, tenant, verdict{
		Answer: a, Asked: asked, Topic: q.about.Topic, Object: q.about.Subject, Mode: mode, DryRun: true,
		Actor: &event.Actor{User: p.Subject},
	})
	return &objecteventv1.TestHookResponse{Answer: answersOf([]Answer{a})[0], Allowed: !a.refuses(q)}, nil
}

// tryOut is the question of a dry run.
func tryOut(tenant string, k hook, r *objecteventv1.TestHookRequest) (*call, Mode, error) {
	name := r.GetEvent()
	if name == "" {
		name = k.Events[0]
	}
	before, ok := lookupBefore(name)
	if !ok {
		return nil, "", fault.Field(fault.UnknownName, "event", "%.64q is not one of %s", name, beforeNames())
	}
	d := Deletion{Tenant: tenant, Topic: r.GetTopic(), Object: r.GetObject(), Mode: Mode(r.GetMode()), Asked: time.Now()}
	if d.Topic == "" {
		if d.Topic = before.topic; len(k.Topics) > 0 {
			d.Topic = k.Topics[0]
		} else if d.Topic == "" {
			d.Topic = "users"
		}
	}
	if d.Object == "" {
		d.Object = "test"
	}
	if d.Mode == "" {
		d.Mode = ToTrash
	}
	if d.Mode != ToTrash && d.Mode != WithoutTrash {
		return nil, "", fault.Field(fault.InvalidRequest, "mode", "%.32q is neither %q nor %q", d.Mode, ToTrash, WithoutTrash)
	}
	e, err := deleting("dry-"+event.NewID(), d, &question{old: r.GetOld().GetJson()})
	return &call{hook: k, before: before, about: e, dryRun: true}, d.Mode, err
}
