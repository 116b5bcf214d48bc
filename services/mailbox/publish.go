package mailbox

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// What an event gets that Publish is given without.
const (
	defaultVerb   = "published"
	defaultSource = "/events"
)

// Publish implements the contract.
func (s *Service) Publish(ctx context.Context, r *mailboxv1.PublishRequest) (*mailboxv1.PublishResponse, error) {
	p := api.PrincipalOf(ctx)
	e, err := s.eventOf(ctx, p, r)
	if err != nil {
		return nil, err
	}
	m, err := e.Msg()
	if err != nil {
		return nil, err
	}
	telemetry.Inject(ctx, m.Header)
	if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
		return nil, fault.New(fault.EventTooLarge, "the event has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
	}
	seq, duplicate, err := s.events.store(ctx, m, -1)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the log did not confirm the event; send it again with the same id")
	}
	at := event.Cursor{Epoch: s.logEpoch, Seq: seq}
	return &mailboxv1.PublishResponse{EventId: e.ID, Cursor: at.String(), Duplicate: duplicate}, nil
}

// eventOf is the event of a request, complete, checked and allowed.
func (s *Service) eventOf(ctx context.Context, p *auth.Principal, r *mailboxv1.PublishRequest) (e event.Event, err error) {
	if r.GetEvent() == nil {
		return e, fault.Field(fault.InvalidRequest, "event", "must not be empty")
	}
	if err := subject.CheckTopic(r.GetTopic()); err != nil {
		return e, err
	}
	tenant, err := compCodeOf(ctx, p, auth.Request{Action: auth.Publish, Tenant: r.GetCompCode(), Topic: r.GetTopic()})
	if err != nil {
		return e, err
	}
	if e, err = event.ParseJSON(r.GetEvent().GetJson()); err != nil {
		return e, inEvent(err)
	}
	// The request says where it belongs; an event that says otherwise is a mistake.
	for _, d := range []struct{ field, says, asked string }{
		{"event.tenant", e.Tenant, tenant}, {"event.topic", subject.Fold(e.Topic), subject.Fold(r.GetTopic())},
	} {
		if d.says != "" && d.says != d.asked {
			return e, fault.Field(fault.InvalidEvent, d.field, "%q is not where it is published to", d.says)
		}
	}
	e.Tenant, e.Topic = tenant, r.GetTopic()
	if e.Verb == "" {
		e.Verb = defaultVerb
	}
	if e.Source == "" {
		e.Source = defaultSource
	}
	e.Complete(time.Now())
	if err := e.Validate(); err != nil {
		return e, inEvent(err)
	}
	if len(e.Data) > s.maxEvent {
		return e, fault.New(fault.EventTooLarge, "the event has %d bytes of data, the maximum is %d", len(e.Data), s.maxEvent)
	}
	return e, nil
}

// inEvent says that a field is one of the event's, not of the request's.
func inEvent(err error) error {
	return fault.InField(err, "event."+fault.From(err).Details()["field"])
}
