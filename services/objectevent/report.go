package objectevent

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
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// service is the contract of operations and the plain routes in front of it.
func (s *Service) service() api.Service {
	return api.Service{
		Contract: objecteventv1.File_belfry_objectevent_v1_operations_proto.Services().ByName("OperationService"),
		Methods: []api.Method{
			api.Unary("Report", s.Report), api.Unary("GetOperation", s.GetOperation), api.Unary("ListRefused", s.ListRefused),
		},
		Routes: []api.Route{
			{Pattern: "POST /v1/operations", Method: "Report"},
			{Pattern: "GET /v1/operations/refused", Method: "ListRefused"},
			{Pattern: "GET /v1/operations/{id}", Method: "GetOperation"},
		},
	}
}

const (
	maxReports = 1000 // operations in one request

	// storeTimeout bounds the wait for the queue's confirmation.
	storeTimeout = 10 * time.Second

	apiSource = "/operations" // of an operation whose reporter names none
)

// Report implements the contract.
func (s *Service) Report(ctx context.Context, r *objecteventv1.ReportRequest) (*objecteventv1.ReportResponse, error) {
	list := r.GetOperations()
	if len(list) == 0 || len(list) > maxReports {
		return nil, fault.Field(fault.InvalidRequest, "operations", "a request has 1 to %d operations, not %d", maxReports, len(list))
	}
	p, now := api.PrincipalOf(ctx), time.Now().UTC()
	ops := make([]operation, len(list))
	tenants := map[string]bool{}
	for i, in := range list {
		var err error
		if ops[i], err = s.admit(ctx, p, in, now); err != nil {
			api.Concerns(ctx, ops[i].Tenant)
			if len(list) > 1 {
				err = fault.From(err).With("index", strconv.Itoa(i))
			}
			return nil, err
		}
		tenants[ops[i].Tenant] = true
	}
	for tenant := range tenants {
		if err := s.limits.AllowTenant(p, tenant, 1); err != nil {
			return nil, err
		}
	}
	at, err := s.queue(ctx, ops)
	if err != nil {
		return nil, err
	}
	return s.outcomes(ctx, ops, at, r.GetQueueOnly())
}

// admit checks one operation as far as it can be known before its turn, and asks
// whether the caller may report it.
func (s *Service) admit(ctx context.Context, p *auth.Principal, in *objecteventv1.Operation, now time.Time) (operation, error) {
	o := operation{}
	tenant, err := p.Tenant(in.GetTenant())
	if err != nil {
		return o, err
	}
	if o, err = operationOf(in, tenant, now); err != nil {
		return o, err
	}
	if err := p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: o.Topic}); err != nil {
		return o, err
	}
	r, ok := o.under(inUse).find()
	if !ok {
		return o, wrongOperation("topic", "there is no %s of %.64q", o.name, o.Topic)
	}
	if err := o.lacks(r.needs); err != nil {
		return o, err
	}
	// What it will be made into shows whether it fits.
	if _, err := o.effects(ctx, r, event.Cursor{}, s.maxEvent); err != nil {
		return o, err
	}
	return o, s.allowed(ctx, &o, now)
}

// operationOf reads an operation of the contract.
func operationOf(in *objecteventv1.Operation, tenant string, now time.Time) (operation, error) {
	o := operation{Event: event.Event{
		ID: in.GetId(), Source: in.GetSource(), Tenant: tenant, Topic: in.GetTopic(), Verb: in.GetOp(), Subject: in.GetObject(),
		CorrelationID: in.GetCorrelationId(), Time: now,
	}}
	switch {
	case o.ID == "" || len(o.ID) > subject.MaxToken:
		return o, wrongOperation("id", "has %d bytes; 1 to %d are allowed", len(o.ID), subject.MaxToken)
	case o.Source == "":
		o.Source = apiSource
	}
	if in.GetTime() != nil {
		if o.Time = in.GetTime().AsTime(); !in.GetTime().IsValid() {
			return o, wrongOperation("time", "is not a time")
		}
	}
	if in.GetRaise() {
		yes := true
		o.Frm = &yes
	}
	o.Extensions = map[string]any{}
	for name, value := range map[string]string{extOrigin: in.GetOrigin(), extDeletion: in.GetDeletionId()} {
		if value != "" {
			o.Extensions[name] = value
		}
	}
	if in.Version != nil {
		v := int64(in.GetVersion())
		o.ObjectVersion = &v
	}
	c := event.Change{Old: in.GetOld().GetJson(), New: in.GetNew().GetJson()}
	for _, v := range in.GetAffected() {
		c.Affected = append(c.Affected, v.GetJson())
	}
	if a := in.GetActor(); a != nil {
		c.Actor = &event.Actor{User: a.GetUser(), Device: a.GetDevice(), Feature: a.GetFeature()}
	}
	o.SetChange(c)
	if err := (subject.OperationAddress{Tenant: tenant, Topic: o.Topic, Object: o.Subject}).Check(); err != nil {
		return o, err
	}
	return o, o.complete()
}

// allowed says whether the operation may name the deletion it names.
func (s *Service) allowed(ctx context.Context, o *operation, reported time.Time) error {
	if o.deletion == "" {
		return nil
	}
	_, err := s.hooks.deletions.check(ctx, o.deletion, o.Tenant, o.Topic, o.Subject, o.mode(), reported)
	return err
}

// message is the operation as it is reported on NATS.
func (o *operation) message() (*nats.Msg, error) {
	subj, err := subject.Operation(o.address())
	if err != nil {
		return nil, err
	}
	o.Type = ""
	o.Complete(o.Time)
	return &nats.Msg{Subject: subj, Header: o.Header(), Data: o.Data}, nil
}

// queue reports the operations, in their order, and answers where the queue has
// them. Code unavailable.
func (s *Service) queue(ctx context.Context, ops []operation) ([]uint64, error) {
	ctx, span := s.trace.Start(ctx, "objectevent.report", trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, len(ops))
	for i := range ops {
		m, err := ops[i].message()
		if err != nil {
			return nil, err
		}
		telemetry.Inject(ctx, m.Header)
		span.SetAttributes(attribute.String(telemetry.KeyEventID, ops[i].ID), attribute.String(telemetry.KeySubject, m.Subject))
		if futures[i], err = s.js.PublishMsgAsync(m); err != nil {
			return nil, notQueued(err)
		}
	}
	at := make([]uint64, len(ops))
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			at[i] = ack.Sequence
		case err := <-f.Err():
			return nil, notQueued(err)
		case <-ctx.Done():
			return nil, notQueued(ctx.Err())
		}
	}
	return at, nil
}

// notQueued is what a reporter is told when the queue did not confirm.
func notQueued(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the queue did not confirm the operation; report it again with the same id")
}
