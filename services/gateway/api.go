package gateway

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// The service is what its contract says.
var _ gatewayv1connect.GatewayServiceHandler = (*Service)(nil)

// mountAPI mounts the contract and the plain routes in front of it.
func (s *Service) mountAPI(m *api.Mux) error {
	return m.Mount(api.Service{
		Contract: gatewayv1.File_belfry_gateway_v1_gateway_proto.Services().ByName("GatewayService"),
		Methods: []api.Method{
			api.Unary("Publish", s.Publish), api.Unary("ReadEvents", s.ReadEvents),
			api.Unary("Disconnect", s.Disconnect), api.Unary("Revoke", s.Revoke),
			api.Unary("Notify", s.Notify), api.Unary("GetPresence", s.GetPresence), api.Unary("ListPresence", s.ListPresence),
		},
		Routes: []api.Route{
			{
				Pattern: "POST /v1/events", Method: "Publish", Serve: s.postEvents, MaxBytes: s.maxBody, Takes: modes,
				About: "A batch is answered so, one event by its Receipt alone.",
			},
			{Pattern: "GET /v1/events", Method: "ReadEvents"},
			{Pattern: "POST /v1/disconnect", Method: "Disconnect"},
			{Pattern: "POST /v1/revoke", Method: "Revoke"},
			{Pattern: "POST /v1/realtime", Method: "Notify"},
			{Pattern: "GET /v1/presence", Method: "ListPresence"},
			{Pattern: "GET /v1/presence/{user}", Method: "GetPresence"},
		},
		Wrap: s.origin,
	})
}

// maxBatch is how many events one request may carry.
const maxBatch = 1000

// Publish implements the contract.
func (s *Service) Publish(ctx context.Context, r *gatewayv1.PublishRequest) (*gatewayv1.PublishResponse, error) {
	events := make([]event.Event, len(r.GetEvents()))
	for i, e := range r.GetEvents() {
		var err error
		if events[i], err = event.ParseJSON(e.GetJson()); err != nil {
			return nil, s.count(at(i, err))
		}
	}
	return s.publish(ctx, events, true)
}

// at adds the position among several events to an error.
func at(i int, err error) error { return fault.From(err).With("index", strconv.Itoa(i)) }

// publish stores events, whichever way they came: everything is checked before
// anything is stored. many = an error names which of them.
func (s *Service) publish(ctx context.Context, events []event.Event, many bool) (*gatewayv1.PublishResponse, error) {
	if len(events) == 0 || len(events) > maxBatch {
		return nil, s.count(fault.Field(fault.InvalidRequest, "events", "a batch has 1 to %d events, not %d", maxBatch, len(events)))
	}
	principal, now := api.PrincipalOf(ctx), time.Now()
	for i := range events {
		if err := s.admit(&events[i], principal, now); err != nil {
			api.Concerns(ctx, events[i].Tenant)
			if many {
				err = at(i, err)
			}
			return nil, s.count(err)
		}
	}
	for tenant := range tenantsOf(events) {
		if err := s.limits.AllowTenant(principal, tenant, 1); err != nil {
			return nil, s.count(err)
		}
	}
	receipts, err := s.store(ctx, events)
	return &gatewayv1.PublishResponse{Events: receipts}, s.count(err)
}

// tenantsOf are the tenants that events belong to.
func tenantsOf(events []event.Event) map[string]bool {
	tenants := map[string]bool{}
	for i := range events {
		tenants[events[i].Tenant] = true
	}
	return tenants
}

// count counts how a publish ended, and answers err.
func (s *Service) count(err error) error {
	outcome := "stored"
	if err != nil {
		outcome = string(fault.CodeOf(err))
	}
	s.stats.published.WithLabelValues(outcome).Inc()
	return err
}

// admit completes and checks one event, and asks whether the caller may publish
// it. What CloudEvents requires is not made up here: an HTTP caller who has lost
// its answer must be able to send the same id again.
func (s *Service) admit(ev *event.Event, p *auth.Principal, now time.Time) error {
	for _, required := range []struct{ name, value string }{{"id", ev.ID}, {"source", ev.Source}, {"type", ev.Type}} {
		if required.value == "" {
			return fault.Field(fault.InvalidEvent, required.name, "is required by CloudEvents 1.0")
		}
	}
	tenant, err := p.Tenant(ev.Tenant)
	if err != nil {
		return err
	}
	ev.Tenant = tenant
	ev.Complete(now)
	if err := ev.Validate(); err != nil {
		return err
	}
	if len(ev.Data) > s.maxEvent {
		return fault.New(fault.EventTooLarge, "the event has %d bytes of data, the maximum is %d", len(ev.Data), s.maxEvent)
	}
	return p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: ev.Topic})
}

// store publishes the events and waits until the log has them all.
func (s *Service) store(ctx context.Context, events []event.Event) ([]*gatewayv1.Receipt, error) {
	ctx, span := s.trace.Start(ctx, "gateway.publish", trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	defer cancel()
	messages := make([]*nats.Msg, len(events))
	for i := range events {
		m, err := events[i].Msg()
		if err != nil {
			return nil, err
		}
		telemetry.Inject(ctx, m.Header)
		if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
			return nil, fault.New(fault.EventTooLarge, "the event has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
		}
		messages[i] = m
	}
	futures := make([]jetstream.PubAckFuture, len(events))
	for i, m := range messages {
		span.SetAttributes(attribute.String(telemetry.KeyEventID, events[i].ID), attribute.String(telemetry.KeySubject, m.Subject))
		var err error
		if futures[i], err = s.js.PublishMsgAsync(m); err != nil {
			return nil, notStored(err)
		}
	}
	receipts := make([]*gatewayv1.Receipt, len(events))
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			receipts[i] = &gatewayv1.Receipt{Id: events[i].ID, Cursor: s.cursor(ack.Sequence).String(), Duplicate: ack.Duplicate}
		case err := <-f.Err():
			return nil, notStored(err)
		case <-ctx.Done():
			return nil, notStored(ctx.Err())
		}
	}
	return receipts, nil
}

// notStored is what a publisher is told when the log did not confirm: with the
// same id it may simply try again.
func notStored(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the log did not confirm the event; send it again with the same id")
}

// ReadEvents implements the contract: the log after a cursor, filtered as a
// subscription is.
func (s *Service) ReadEvents(ctx context.Context, r *gatewayv1.ReadEventsRequest) (*gatewayv1.ReadEventsResponse, error) {
	limit := defaultPage
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	switch {
	case limit < 1:
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is below the minimum of 1", limit)
	case limit > maxPage:
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is above the maximum of %d", limit, maxPage)
	}
	principal := api.PrincipalOf(ctx)
	tenant, err := principal.Tenant(r.GetTenant())
	if err != nil {
		return nil, err
	}
	api.Concerns(ctx, tenant)
	if err := s.limits.AllowTenant(principal, tenant, 1); err != nil {
		return nil, err
	}
	want, err := wanted(map[string][]string{"tenant": {tenant}, "topic": r.GetTopic(), "verb": r.GetVerb(), "name": r.GetName()}, principal)
	if err != nil {
		return nil, err
	}
	if err := refuseSignals(want); err != nil {
		return nil, err
	}
	p, err := s.readPage(ctx, tenant, r.GetAfter(), limit, want)
	if err != nil {
		return nil, err
	}
	page := &gatewayv1.ReadEventsResponse{Cursor: p.cursor.String(), More: p.more}
	for _, e := range p.events {
		page.Events = append(page.Events, &gatewayv1.LogEvent{Cursor: e.cursor.String(), Event: &eventv1.Event{Json: e.form}})
	}
	return page, nil
}
