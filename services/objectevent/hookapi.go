package objectevent

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
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
