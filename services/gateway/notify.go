package gateway

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/telemetry"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// Notify implements the contract. It goes the way of every real-time event, over
// NATS to all gateways, this one among them.
func (s *Service) Notify(ctx context.Context, r *gatewayv1.NotifyRequest) (*gatewayv1.NotifyResponse, error) {
	to, err := s.recipient(ctx, r)
	if err != nil {
		return nil, err
	}
	e, err := realtimeEvent(r)
	if err != nil {
		return nil, err
	}
	ctx, span := s.trace.Start(ctx, "gateway.notify", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String(telemetry.KeyEventID, e.ID)))
	defer span.End()
	reach, err := realtime.Send(ctx, s.nc, to, e, s.who.Gateways(roster.Person(to)))
	if err != nil {
		return nil, err
	}
	return &gatewayv1.NotifyResponse{
		Id: e.ID, Connections: int32(reach.Connections), Gateways: int32(reach.Gateways), Complete: reach.Complete,
	}, nil
}

// recipient is whom a request is for, if its caller may send to them.
func (s *Service) recipient(ctx context.Context, r *gatewayv1.NotifyRequest) (to realtime.Recipient, err error) {
	p := api.PrincipalOf(ctx)
	if r.GetEverybody() {
		switch {
		case r.GetTenant() != "":
			return to, fault.Field(fault.InvalidRequest, "tenant", "excludes everybody; send either")
		case r.GetRecipient() != "":
			return to, fault.Field(fault.InvalidRequest, "recipient", "excludes everybody; send either")
		}
		api.Administrative(ctx)
		return to, p.Decide(auth.Request{Action: auth.Admin})
	}
	to.User = r.GetRecipient()
	if to.Tenant, err = p.Tenant(r.GetTenant()); err != nil {
		return to, err
	}
	api.Concerns(ctx, to.Tenant)
	if err := p.Decide(auth.Request{Action: auth.Realtime, Tenant: to.Tenant}); err != nil {
		return to, err
	}
	if _, err := to.Subject(); err != nil {
		return to, err
	}
	return to, s.limits.AllowTenant(p, to.Tenant, 1)
}

// realtimeEvent is the event of a request: the name of its payload is its code.
func realtimeEvent(r *gatewayv1.NotifyRequest) (event.Event, error) {
	m := r.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
	if field == nil {
		return event.Event{}, fault.Field(fault.InvalidRequest, "payload", "is missing: one of the members that are codes, such as SYS_MSG")
	}
	e, err := realtime.Event(m.Get(field).Message().Interface())
	if err != nil {
		return e, err
	}
	e.ID, e.Source, e.CorrelationID = r.GetId(), r.GetSource(), r.GetCorrelationId()
	if e.ID == "" {
		e.ID = event.NewID()
	}
	if e.Source == "" {
		e.Source = roster.Source
	}
	if at := r.GetExpiryTime(); at != nil {
		if err := at.CheckValid(); err != nil {
			return e, fault.Field(fault.InvalidRequest, "expiryTime", "is not a time")
		}
		e.ExpiryTime = at.AsTime()
	}
	return e, nil
}
