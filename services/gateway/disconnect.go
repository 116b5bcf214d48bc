package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// farewell asks every gateway to close a user's connections, on
// subject.Disconnect; each answers how many it had.
type farewell struct {
	Tenant string     `json:"tenant"`
	User   string     `json:"user"`
	Code   fault.Code `json:"code"`
}

// farewells is a gateway's answer.
type farewells struct {
	Connections int `json:"connections"`
}

// Gateways answer within milliseconds; how many there are nobody has to know.
const (
	farewellWait  = 250 * time.Millisecond // for another answer
	farewellLimit = 2 * time.Second        // for all
)

// Disconnect implements the contract.
func (s *Service) Disconnect(ctx context.Context, r *gatewayv1.DisconnectRequest) (*gatewayv1.DisconnectResponse, error) {
	tenant, err := s.administer(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	if r.GetUser() == "" {
		return nil, fault.Field(fault.InvalidRequest, "user", "is required: whose connections?")
	}
	if _, err := subject.Escape("user", r.GetUser()); err != nil {
		return nil, err
	}
	code := fault.Disconnected
	if r.GetReconnect() {
		code = fault.ComeBack
	}
	return s.disconnect(ctx, farewell{tenant, r.GetUser(), code})
}

// administer says which tenant an administrative call is about, and whether the
// caller may make it. It is recorded either way.
func (s *Service) administer(ctx context.Context, asked string) (tenant string, err error) {
	api.Administrative(ctx)
	p := api.PrincipalOf(ctx)
	if tenant, err = p.Tenant(asked); err != nil {
		return "", err
	}
	api.Concerns(ctx, tenant)
	return tenant, p.Decide(auth.Request{Action: auth.Admin, Tenant: tenant})
}

// disconnect asks all gateways, this one among them, and adds up what they answer.
func (s *Service) disconnect(ctx context.Context, f farewell) (*gatewayv1.DisconnectResponse, error) {
	ask, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, farewellLimit)
	defer cancel()
	inbox := s.nc.NewRespInbox()
	answers, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the gateways do not answer")
	}
	defer func() { _ = answers.Unsubscribe() }() // fails only with a connection that is closed
	if err := s.nc.PublishRequest(subject.Disconnect, inbox, ask); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the gateways do not answer")
	}
	all := &gatewayv1.DisconnectResponse{}
	for {
		next, stop := context.WithTimeout(ctx, farewellWait)
		m, err := answers.NextMsgWithContext(next)
		stop()
		switch {
		case err == nil:
			var a farewells
			if json.Unmarshal(m.Data, &a) == nil {
				all.Gateways++
				all.Connections += int32(a.Connections)
			}
		case all.GetGateways() > 0 && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)):
			return all, nil
		default:
			return nil, fault.Wrap(fault.Unavailable, err, "the gateways do not answer; some may have closed the user's connections")
		}
	}
}

// sayFarewells answers what any gateway asks, until the connection to NATS is
// closed or stop is called.
func (s *Service) sayFarewells() (stop func(), err error) {
	sub, err := s.nc.Subscribe(subject.Disconnect, func(m *nats.Msg) {
		var f farewell
		if err := json.Unmarshal(m.Data, &f); err != nil {
			s.out.Warn("not a request to disconnect", telemetry.Err(err))
			return
		}
		b, err := json.Marshal(farewells{s.farewell(f)})
		if err == nil {
			err = m.Respond(b)
		}
		if err != nil {
			s.out.Warn("request to disconnect not answered", telemetry.Err(err))
		}
	})
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "listen for requests to disconnect")
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails only with a connection that is closed
}

// farewell closes the user's connections here.
func (s *Service) farewell(f farewell) (n int) {
	for _, c := range s.hub.all() {
		if who := c.who(); who.Subject == f.User && slices.Contains(who.Tenants, f.Tenant) && !c.isClosing() {
			c.shut(f.Code)
			n++
		}
	}
	return n
}

// Revoke implements the contract.
func (s *Service) Revoke(ctx context.Context, r *gatewayv1.RevokeRequest) (*gatewayv1.RevokeResponse, error) {
	what := auth.Revocation{TokenID: r.GetTokenId(), User: r.GetUser(), Before: time.Now()}
	switch {
	case what.TokenID != "" && (r.GetTenant() != "" || r.GetBefore() != ""):
		return nil, fault.Field(fault.InvalidRequest, "token_id", "excludes tenant and before; a token is taken back as a whole")
	case what.TokenID != "":
		// Whose it is we cannot know; that its id is known says that it is the caller's
		// business.
		api.Administrative(ctx)
		if err := api.PrincipalOf(ctx).Decide(auth.Request{Action: auth.Admin}); err != nil {
			return nil, err
		}
	default:
		tenant, err := s.administer(ctx, r.GetTenant())
		if err != nil {
			return nil, err
		}
		what.Tenant = tenant
	}
	if text := r.GetBefore(); text != "" {
		before, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "before: %q is not like 2026-11-21T08:00:00Z", text).With("field", "before")
		}
		what.Before = before
	}
	if err := auth.Revoke(ctx, s.js, what, s.tokenLife); err != nil {
		return nil, err
	}
	return &gatewayv1.RevokeResponse{Before: what.Before.UTC().Format(time.RFC3339)}, nil
}
