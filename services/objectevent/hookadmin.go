package objectevent

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

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
		if err := checkRevision(all[i], r.Revision); err != nil { //nolint:protogetter // absent is not zero
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
