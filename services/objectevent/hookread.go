package objectevent

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// Bounds of ListVerdicts.
const defaultVerdicts, maxVerdicts = 100, 500

// ListVerdicts implements the contract.
func (h *hooks) ListVerdicts(ctx context.Context, r *objecteventv1.ListVerdictsRequest) (*objecteventv1.ListVerdictsResponse, error) {
	tenant, _, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	limit := defaultVerdicts
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 || limit > maxVerdicts {
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is outside 1 to %d", limit, maxVerdicts)
	}
	after, err := parseVerdictCursor(r.GetAfter())
	if err != nil {
		return nil, err
	}
	filter, err := subject.TenantVerdicts(tenant)
	if r.GetHook() != "" {
		filter, err = subject.Verdict(tenant, r.GetHook())
	}
	if err != nil {
		return nil, err
	}
	var since time.Time
	if r.GetSince() != nil {
		since = r.GetSince().AsTime()
	}
	all, end, more, err := h.verdicts.page(ctx, filter, r.GetDeletionId(), after, since, limit)
	if err != nil {
		return nil, err
	}
	answer := &objecteventv1.ListVerdictsResponse{Cursor: verdictCursor(end), More: more}
	for _, v := range all {
		row := &objecteventv1.HookVerdict{
			Answer: answersOf([]Answer{v.Answer})[0], Asked: timestamp(v.Asked), DeletionId: v.Deletion, Topic: v.Topic,
			Object: v.Object, Mode: string(v.Mode), DryRun: v.DryRun,
		}
		if v.Actor != nil {
			row.Actor = &objecteventv1.Actor{User: v.Actor.User, Device: v.Actor.Device, Feature: v.Actor.Feature}
		}
		answer.Verdicts = append(answer.Verdicts, row)
	}
	return answer, nil
}

// GetDeletion implements the contract.
func (h *hooks) GetDeletion(ctx context.Context, r *objecteventv1.GetDeletionRequest) (*objecteventv1.GetDeletionResponse, error) {
	d, _, err := h.deletions.find(ctx, r.GetDeletionId())
	if err != nil {
		return nil, err
	}
	p := api.PrincipalOf(ctx)
	api.Concerns(ctx, d.Tenant)
	if err := p.Decide(auth.Request{Action: auth.Publish, Tenant: d.Tenant, Topic: d.Topic}); err != nil {
		if fault.CodeOf(err) == fault.TenantForbidden { // whose it is, is nobody else's business
			return nil, unknownDeletion(r.GetDeletionId())
		}
		return nil, err
	}
	return &objecteventv1.GetDeletionResponse{
		DeletionId: r.GetDeletionId(), Tenant: d.Tenant, Topic: d.Topic, Object: d.Object, Mode: string(d.Mode),
		Verdict: string(d.Verdict), Reason: d.Reason, RefusedBy: d.By, Hooks: answersOf(d.Answers),
		Asked: timestamp(d.Asked), Expires: timestamp(d.Expires), Cursor: d.Cursor,
	}, nil
}
