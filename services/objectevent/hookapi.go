package objectevent

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

// The hooks are what their contract says.
var _ objecteventv1connect.HookServiceHandler = (*hooks)(nil)

// service is the contract and the plain routes in front of it.
func (h *hooks) service() api.Service {
	return api.Service{
		Contract: objecteventv1.File_belfry_objectevent_v1_hooks_proto.Services().ByName("HookService"),
		Methods: []api.Method{
			api.Unary("BeforeDelete", h.BeforeDelete), api.Unary("GetDeletion", h.GetDeletion),
			api.Unary("CreateHook", h.CreateHook), api.Unary("UpdateHook", h.UpdateHook), api.Unary("DeleteHook", h.DeleteHook),
			api.Unary("GetHook", h.GetHook), api.Unary("ListHooks", h.ListHooks),
			api.Unary("RotateHookSecret", h.RotateHookSecret), api.Unary("TestHook", h.TestHook), api.Unary("ListVerdicts", h.ListVerdicts),
		},
		Routes: []api.Route{
			{Pattern: "POST /v1/deletions", Method: "BeforeDelete"},
			{Pattern: "GET /v1/deletions/{deletionId}", Method: "GetDeletion"},
			{Pattern: "POST /v1/hooks", Method: "CreateHook"},
			{Pattern: "GET /v1/hooks", Method: "ListHooks"},
			{Pattern: "GET /v1/hooks/{name}", Method: "GetHook"},
			{Pattern: "PUT /v1/hooks/{name}", Method: "UpdateHook"},
			{Pattern: "DELETE /v1/hooks/{name}", Method: "DeleteHook"},
			{Pattern: "POST /v1/hooks/{name}/secret", Method: "RotateHookSecret"},
			{Pattern: "POST /v1/hooks/{name}/test", Method: "TestHook"},
			{Pattern: "GET /v1/verdicts", Method: "ListVerdicts"},
		},
	}
}

// admin answers the tenant whose hooks the caller may see and change.
func admin(ctx context.Context, asked string) (tenant string, p *auth.Principal, err error) {
	p = api.PrincipalOf(ctx)
	if tenant, err = p.Tenant(asked); err != nil {
		return "", nil, err
	}
	api.Concerns(ctx, tenant)
	return tenant, p, p.Decide(auth.Request{Action: auth.Admin, Tenant: tenant})
}

// CreateHook implements the contract.
func (h *hooks) CreateHook(ctx context.Context, r *objecteventv1.CreateHookRequest) (*objecteventv1.CreateHookResponse, error) {
	api.Administrative(ctx)
	tenant, p, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	k := hook{
		Name: r.GetName(), Events: r.GetEvents(), Topics: r.GetTopics(), URL: r.GetUrl(), Timeout: r.GetTimeout().AsDuration(),
		FailOpen: r.GetFailOpen(), Disabled: r.GetDisabled(), Revision: 1, Created: now, Updated: now, UpdatedBy: p.Subject,
	}
	if err := k.complete(h.targets); err != nil {
		return nil, err
	}
	shown := k.secretIfNone()
	err = h.store.change(ctx, tenant, func(all []hook) ([]hook, error) {
		switch {
		case indexOf(all, k.Name) >= 0:
			return nil, fault.Field(fault.Conflict, "name", "%q has a hook %q already; update it", tenant, k.Name)
		case len(all) >= h.config.MaxHooks:
			return nil, fault.New(fault.TooManyHooks, "%q has %d hooks, which is the maximum", tenant, len(all))
		}
		return append(all, k), nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.CreateHookResponse{Hook: h.show(tenant, k), Secret: shown}, nil
}

// secretIfNone gives a hook over HTTP its first secret, and answers it for the one
// who registers it.
func (k *hook) secretIfNone() (shown string) {
	if k.URL == "" || len(k.Secrets) > 0 {
		return ""
	}
	k.Secrets = []secret{newSecret()}
	return k.Secrets[0].String()
}

// UpdateHook implements the contract.
func (h *hooks) UpdateHook(ctx context.Context, r *objecteventv1.UpdateHookRequest) (*objecteventv1.UpdateHookResponse, error) {
	api.Administrative(ctx)
	tenant, p, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	var shown string
	k, err := h.edit(ctx, tenant, r.GetName(), r.Revision, p, func(k *hook) error {
		k.Events, k.Topics, k.URL, k.Timeout = r.GetEvents(), r.GetTopics(), r.GetUrl(), r.GetTimeout().AsDuration()
		k.FailOpen, k.Disabled = r.GetFailOpen(), r.GetDisabled()
		err := k.complete(h.targets)
		shown = k.secretIfNone()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.UpdateHookResponse{Hook: h.show(tenant, k), Secret: shown}, nil
}

// edit changes one hook in its place.
func (h *hooks) edit(ctx context.Context, tenant, name string, revision *int32, p *auth.Principal, f func(*hook) error) (k hook, err error) {
	err = h.store.change(ctx, tenant, func(all []hook) ([]hook, error) {
		i := indexOf(all, name)
		if i < 0 {
			return nil, noHook(tenant, name)
		}
		k = all[i]
		if err := checkRevision(k, revision); err != nil {
			return nil, err
		}
		if err := f(&k); err != nil {
			return nil, err
		}
		k.Revision++
		k.Updated, k.UpdatedBy = time.Now().UTC(), p.Subject
		all[i] = k
		return all, nil
	})
	return k, err
}

// DeleteHook implements the contract.
func (h *hooks) DeleteHook(ctx context.Context, r *objecteventv1.DeleteHookRequest) (*objecteventv1.DeleteHookResponse, error) {
	api.Administrative(ctx)
	tenant, _, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	err = h.store.change(ctx, tenant, func(all []hook) ([]hook, error) {
		i := indexOf(all, r.GetName())
		if i < 0 {
			return nil, noHook(tenant, r.GetName())
		}
		if err := checkRevision(all[i], r.Revision); err != nil {
			return nil, err
		}
		h.caller.circuits.forget(hookID{tenant, all[i].Name})
		return append(all[:i], all[i+1:]...), nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.DeleteHookResponse{}, nil
}

// GetHook implements the contract.
func (h *hooks) GetHook(ctx context.Context, r *objecteventv1.GetHookRequest) (*objecteventv1.GetHookResponse, error) {
	tenant, _, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	k, err := h.store.find(ctx, tenant, r.GetName())
	if err != nil {
		return nil, err
	}
	return &objecteventv1.GetHookResponse{Hook: h.show(tenant, k)}, nil
}

// ListHooks implements the contract.
func (h *hooks) ListHooks(ctx context.Context, r *objecteventv1.ListHooksRequest) (*objecteventv1.ListHooksResponse, error) {
	tenant, _, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	all, err := h.store.list(ctx, tenant)
	if err != nil {
		return nil, err
	}
	answer := &objecteventv1.ListHooksResponse{}
	for _, k := range all {
		answer.Hooks = append(answer.Hooks, h.show(tenant, k))
	}
	return answer, nil
}

// RotateHookSecret implements the contract.
func (h *hooks) RotateHookSecret(ctx context.Context, r *objecteventv1.RotateHookSecretRequest) (*objecteventv1.RotateHookSecretResponse, error) {
	api.Administrative(ctx)
	tenant, p, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	overlap := defaultOverlap
	if r.GetOverlap() != nil {
		overlap = r.GetOverlap().AsDuration()
	}
	if overlap < 0 || overlap > maxOverlap {
		return nil, fault.Field(fault.InvalidRequest, "overlap", "%s is outside 0s to %s", overlap, maxOverlap)
	}
	now := time.Now().UTC()
	until := now.Add(overlap)
	k, err := h.edit(ctx, tenant, r.GetName(), nil, p, func(k *hook) error {
		if k.URL == "" {
			return fault.Field(fault.InvalidRequest, "name", "%s is called over NATS, which needs no secret", k.Name)
		}
		k.Secrets = rotate(k.Secrets, now, until)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.RotateHookSecretResponse{Secret: k.Secrets[0].String(), OldUntil: timestamp(until)}, nil
}

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
		filter, err = subject.Verdict(tenant, subject.Fold(r.GetHook()))
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

// show is a hook as its owner sees it: without its secrets.
func (h *hooks) show(tenant string, k hook) *objecteventv1.Hook {
	shown := &objecteventv1.Hook{
		Name: k.Name, Tenant: tenant, Events: k.Events, Topics: k.Topics, Url: k.URL, Timeout: durationpb.New(k.Timeout),
		FailOpen: k.FailOpen, Disabled: k.Disabled, Revision: k.Revision,
		Created: timestamp(k.Created), Updated: timestamp(k.Updated), UpdatedBy: k.UpdatedBy,
		Circuit: h.caller.circuits.state(hookID{tenant, k.Name}, k.Revision),
	}
	if k.URL == "" {
		shown.Subject, _ = subject.Hook(tenant, k.Name) // both were checked when it was registered
	}
	return shown
}

func answersOf(all []Answer) []*objecteventv1.HookAnswer {
	shown := make([]*objecteventv1.HookAnswer, len(all))
	for i, a := range all {
		shown[i] = &objecteventv1.HookAnswer{
			Hook: a.Hook, Event: a.Event, Outcome: string(a.Outcome), Reason: a.Reason, Took: durationpb.New(a.took().Round(time.Microsecond)),
		}
	}
	return shown
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
