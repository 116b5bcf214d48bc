package objectevent

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// question is what the caller of BeforeDelete told beyond the deletion itself.
type question struct {
	actor       *event.Actor
	version     *int64
	old         json.RawMessage
	correlation string
	repeatable  bool // it came with a request id
}

// maxChain is how many deletions may hang on one another: a hook that deletes asks
// hooks, which may delete. More is a circle that nobody drew on purpose.
const maxChain = 4

// BeforeDelete implements the contract.
//
//	claim the object ─▶ note the question ─▶ store <topic>.deleting ─▶ ask ─▶ note the verdict
//
// Each step is found again by the deletion id, so that the same question on another
// replica, after a crash or an answer that was lost, goes on where this one ended.
func (h *hooks) BeforeDelete(ctx context.Context, r *objecteventv1.BeforeDeleteRequest) (*objecteventv1.BeforeDeleteResponse, error) {
	began := time.Now()
	id, d, err := h.before(ctx, r)
	label := string(d.Verdict)
	if err != nil {
		label = string(fault.CodeOf(err))
	}
	h.stats.asked.WithLabelValues(label).Inc()
	if err != nil {
		return nil, err
	}
	h.stats.seconds.Observe(time.Since(began).Seconds())
	return &objecteventv1.BeforeDeleteResponse{
		DeletionId: id, Allowed: d.Verdict == Allowed, Reason: d.Reason, RefusedBy: d.By, Hooks: answersOf(d.Answers),
		Expires: timestamp(d.Expires), Cursor: d.Cursor,
	}, nil
}

// decided is what the crew comes back with.
type decided struct {
	d   Deletion
	err error
}

// before checks the question and has it decided. The decision does not end with
// its caller: who comes back with the same request id finds it.
func (h *hooks) before(ctx context.Context, r *objecteventv1.BeforeDeleteRequest) (string, Deletion, error) {
	d, q, err := h.read(ctx, r)
	if err != nil {
		return "", Deletion{}, err
	}
	if err := h.chain(ctx, &d); err != nil {
		return "", Deletion{}, err
	}
	id := deletionID(d.Tenant, r.GetRequestId())
	e, err := deleting(id, d, q) // refused before anything is written
	if err != nil {
		return "", Deletion{}, err
	}
	if len(e.Data) > h.maxEvent {
		return "", Deletion{}, fault.Field(fault.EventTooLarge, "old", "makes an event of %d bytes, the maximum is %d", len(e.Data), h.maxEvent)
	}
	done := make(chan decided, 1)
	if !h.crew.start(func(life context.Context) {
		verdict, err := h.decide(life, id, d, q, &e)
		done <- decided{verdict, err}
	}) {
		return "", Deletion{}, errStopping
	}
	select {
	case v := <-done:
		return id, v.d, v.err
	case <-ctx.Done():
		return "", Deletion{}, context.Cause(ctx)
	}
}

// read checks what the caller sent, and whether it may ask.
func (h *hooks) read(ctx context.Context, r *objecteventv1.BeforeDeleteRequest) (Deletion, *question, error) {
	refuse := func(err error) (Deletion, *question, error) { return Deletion{}, nil, err }
	p := api.PrincipalOf(ctx)
	tenant, err := p.Tenant(r.GetTenant())
	if err != nil {
		return refuse(err)
	}
	api.Concerns(ctx, tenant)
	if err := subject.CheckTopic(r.GetTopic()); err != nil {
		return refuse(err)
	}
	if err := p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: r.GetTopic()}); err != nil {
		return refuse(err)
	}
	if err := h.limits.AllowTenant(p, tenant, 1); err != nil {
		return refuse(err)
	}
	if _, err := subject.Escape("object", r.GetObject()); err != nil {
		return refuse(err)
	}
	if len(r.GetRequestId()) > subject.MaxToken {
		return refuse(fault.Field(fault.InvalidName, "requestId", "%d bytes are above the maximum of %d", len(r.GetRequestId()), subject.MaxToken))
	}
	mode := Mode(r.GetMode())
	if mode != ToTrash && mode != WithoutTrash {
		return refuse(fault.Field(fault.InvalidRequest, "mode", "%.32q is neither %q nor %q", mode, ToTrash, WithoutTrash))
	}
	q := &question{correlation: r.GetCorrelationId(), repeatable: r.GetRequestId() != ""}
	if a := r.GetActor(); a != nil {
		q.actor = &event.Actor{User: a.GetUser(), Device: a.GetDevice(), Feature: a.GetFeature()}
	}
	if r.Version != nil {
		v := int64(r.GetVersion())
		q.version = &v
	}
	if old := r.GetOld().GetJson(); len(old) > 0 {
		if q.old = old; !json.Valid(old) || json.Unmarshal(old, new(map[string]json.RawMessage)) != nil {
			return refuse(fault.Field(fault.InvalidRequest, "old", "is not a JSON object"))
		}
	}
	now := time.Now().UTC()
	return Deletion{
		Tenant: tenant, Topic: r.GetTopic(), Object: r.GetObject(), Mode: mode, Within: r.GetWithin(),
		Verdict: Asking, Asked: now, Until: now.Add(h.window()), Expires: now.Add(h.config.DeletionTTL),
	}, q, nil
}

// storingWithin is what everything around asking may take: five small writes.
const storingWithin = 10 * time.Second

// chain finds the deletions that this one hangs on, and refuses a circle. Codes
// hook_recursion, deletion_unknown, invalid_name.
func (h *hooks) chain(ctx context.Context, d *Deletion) error {
	if d.Within == "" {
		return nil
	}
	outer, _, err := h.deletions.find(ctx, d.Within)
	if fault.CodeOf(err) == fault.DeletionUnknown || err == nil && outer.Tenant != d.Tenant {
		return fault.Field(fault.DeletionUnknown, "within", "%.64q was not given by BeforeDelete", d.Within)
	}
	if err != nil {
		return err
	}
	d.Chain = append(slices.Clone(outer.Chain), thing(outer.Tenant, outer.Topic, outer.Object))
	switch {
	case slices.Contains(d.Chain, thing(d.Tenant, d.Topic, d.Object)):
		return fault.Field(fault.HookRecursion, "within", "a hook that was asked about %.64q of %.64q deletes it again", d.Object, d.Topic)
	case len(d.Chain) > maxChain:
		return fault.Field(fault.HookRecursion, "within", "%d deletions hang on one another, the maximum is %d", len(d.Chain), maxChain)
	}
	return nil
}
