package scheduler

import (
	"context"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/subject"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/proto/belfry/scheduler/v1/schedulerv1connect"
)

// The service is what its contract says.
var _ schedulerv1connect.SchedulerServiceHandler = (*Service)(nil)

// mountAPI mounts the contract and the plain routes in front of it.
func (s *Service) mountAPI(m *api.Mux) error {
	return m.Mount(api.Service{
		Contract: schedulerv1.File_belfry_scheduler_v1_scheduler_proto.Services().ByName("SchedulerService"),
		Methods: []api.Method{
			api.Unary("Create", s.Create), api.Unary("Get", s.Get), api.Unary("List", s.List),
			api.Unary("Update", s.Update), api.Unary("Delete", s.Delete),
			api.Unary("Pause", s.Pause), api.Unary("Resume", s.Resume), api.Unary("RunNow", s.RunNow),
			api.Unary("Preview", s.Preview), api.Unary("History", s.History),
		},
		Routes: []api.Route{
			{Pattern: "POST /v1/schedules", Method: "Create"},
			{Pattern: "GET /v1/schedules", Method: "List"},
			{Pattern: "POST /v1/schedules/preview", Method: "Preview"},
			{Pattern: "GET /v1/schedules/{id}", Method: "Get"},
			{Pattern: "PUT /v1/schedules/{id}", Method: "Update"},
			{Pattern: "DELETE /v1/schedules/{id}", Method: "Delete"},
			{Pattern: "POST /v1/schedules/{id}/pause", Method: "Pause"},
			{Pattern: "POST /v1/schedules/{id}/resume", Method: "Resume"},
			{Pattern: "POST /v1/schedules/{id}/run", Method: "RunNow"},
			{Pattern: "GET /v1/schedules/{id}/history", Method: "History"},
		},
	})
}

// asked is who asks, and about which schedule of which tenant.
type asked struct {
	who     *auth.Principal
	tenant  string
	address subject.Schedule
}

// ask says who asks. An id that no schedule can have is one that is unknown.
func (s *Service) ask(ctx context.Context, tenant, id string) (a asked, err error) {
	a.who = api.PrincipalOf(ctx)
	if a.tenant, err = s.tenant(ctx, tenant); err != nil {
		return a, err
	}
	if id == "" {
		return a, fault.Field(fault.InvalidRequest, "id", "must not be empty")
	}
	a.address, err = subject.ScheduleOf(a.tenant, id)
	return a, err
}

// tenant is the tenant a request means, if the token may act there at all.
func (s *Service) tenant(ctx context.Context, asked string) (string, error) {
	who := api.PrincipalOf(ctx)
	tenant, err := who.Tenant(asked)
	if err != nil {
		return "", err
	}
	api.Concerns(ctx, tenant)
	// What every token may do in its tenants.
	return tenant, who.Decide(auth.Request{Action: auth.Clock, Tenant: tenant})
}

// may says whether the caller may have anything to do with a schedule. If not, it
// is told that there is none: what others plan is their business.
func (a asked) may(d *definition) bool {
	return d.live() && a.who.Decide(d.Action.need(a.tenant)) == nil
}

// find loads a schedule that the caller may see. Code schedule_unknown.
func (s *Service) find(ctx context.Context, a asked) (kept, error) {
	have, err := s.store.load(ctx, a.address)
	if err != nil {
		return have, err
	}
	if !a.may(have.definition) {
		return have, unknown()
	}
	return have, nil
}

// edit changes a schedule that the caller may change.
func (s *Service) edit(ctx context.Context, a asked, edit func(*definition) (changed bool, err error)) (*schedulerv1.Schedule, error) {
	d, err := s.store.change(ctx, a.address, func(d definition) (*definition, error) {
		if !a.may(&d) {
			return nil, unknown()
		}
		if changed, err := edit(&d); err != nil || !changed {
			return nil, err
		}
		return &d, nil
	})
	if err != nil {
		return nil, err
	}
	return d.message(), nil
}

// reach is the notifier of a platform with gateways.
func (s *Service) reach(ctx context.Context, tenant, user, code string, build func(context.Context) (event.Event, error)) (int, error) {
	reach, err := realtime.Notify(ctx, s.bus.NC, realtime.Recipient{Tenant: tenant, User: user}, code, build)
	return reach.Connections, err
}
