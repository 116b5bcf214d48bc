package gateway

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// GetPresence implements the contract. Somebody nobody knows is offline: which
// users exist is not known here.
func (s *Service) GetPresence(ctx context.Context, r *gatewayv1.GetPresenceRequest) (*gatewayv1.GetPresenceResponse, error) {
	tenant, err := s.mayLook(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	if _, err := subject.User(tenant, r.GetUser()); err != nil {
		return nil, err
	}
	p := s.who.Get(roster.Person{Tenant: tenant, User: r.GetUser()})
	return &gatewayv1.GetPresenceResponse{Presence: presenceOf(tenant, r.GetUser(), p)}, nil
}

// ListPresence implements the contract.
func (s *Service) ListPresence(ctx context.Context, r *gatewayv1.ListPresenceRequest) (*gatewayv1.ListPresenceResponse, error) {
	limit := defaultPage
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 || limit > maxPage {
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is outside 1 to %d", limit, maxPage)
	}
	tenant, err := s.mayLook(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	page, total, more := s.who.List(tenant, r.GetAfter(), limit)
	answer := &gatewayv1.ListPresenceResponse{Total: int32(total), More: more}
	for _, p := range page {
		answer.Users = append(answer.Users, presenceOf(tenant, p.User, p.Presence))
	}
	return answer, nil
}

// mayLook says in which tenant a caller asks who is online, if it may.
func (s *Service) mayLook(ctx context.Context, asked string) (tenant string, err error) {
	p := api.PrincipalOf(ctx)
	if tenant, err = p.Tenant(asked); err != nil {
		return "", err
	}
	api.Concerns(ctx, tenant)
	if err := p.Decide(auth.Request{Action: auth.Realtime, Tenant: tenant}); err != nil {
		return "", err
	}
	return tenant, s.limits.AllowTenant(p, tenant, 1)
}

func presenceOf(tenant, user string, p roster.Presence) *gatewayv1.Presence {
	out := &gatewayv1.Presence{
		Tenant: tenant, User: user, Online: p.Online,
		Connections: int32(p.Connections), Gateways: int32(p.Gateways),
	}
	if p.Online {
		out.Since = timestamppb.New(p.Since)
	}
	return out
}
