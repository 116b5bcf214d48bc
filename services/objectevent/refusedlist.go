package objectevent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

const (
	defaultRefused = 100
	maxRefused     = 500

	// maxLetters is how many dead letters one page looks at, other tenants' and
	// other services' included.
	maxLetters = 2000
)

// ListRefused implements the contract. Dead letters are few, and nobody reads them
// in a hurry; so they are read one by one, and those of others passed over.
func (s *Service) ListRefused(ctx context.Context, r *objecteventv1.ListRefusedRequest) (*objecteventv1.ListRefusedResponse, error) {
	p := api.PrincipalOf(ctx)
	tenant, err := p.Tenant(r.GetTenant())
	if err != nil {
		return nil, err
	}
	api.Concerns(ctx, tenant)
	may := auth.Request{Action: auth.Publish, Tenant: tenant, Topic: r.GetTopic()}
	if may.Topic == "" {
		may.Action = auth.Clock // needs no grant, only the tenant; the topics are looked at one by one
	}
	if err := p.Decide(may); err != nil {
		return nil, err
	}
	if err := s.limits.AllowTenant(p, tenant, 1); err != nil {
		return nil, err
	}
	limit := defaultRefused
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 || limit > maxRefused {
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is outside 1 to %d", limit, maxRefused)
	}
	stream, err := s.js.Stream(ctx, topology.DeadLetters)
	if err != nil {
		return nil, storeDown(err)
	}
	at := event.Cursor{Epoch: stream.CachedInfo().Config.Metadata[topology.EpochKey]}
	if after := r.GetAfter(); after != "" {
		given, err := event.ParseCursor(after)
		if err != nil || given.Epoch != at.Epoch {
			return nil, fault.Field(fault.InvalidCursor, "after", "is not a cursor of ListRefused")
		}
		at = given
	}
	var list []*objecteventv1.RefusedOperation
	more := false
	for looked := 0; ; looked++ {
		m, err := stream.GetMsg(ctx, at.Seq+1, jetstream.WithGetMsgSubject(subject.DeadLetters))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return nil, storeDown(err)
		case looked == maxLetters || len(list) == limit:
			more = true
		default:
			at.Seq = m.Sequence
			if o := refusedOf(m.Header, tenant); o != nil && sees(p, tenant, o.GetTopic(), r.GetTopic()) {
				list = append(list, o)
			}
			continue
		}
		answer := &objecteventv1.ListRefusedResponse{Operations: list, More: more}
		if at.Seq > 0 {
			answer.Cursor = at.String()
		}
		return answer, nil
	}
}

// sees says whether the caller may see a refused operation of a topic, and asked for
// it.
func sees(p *auth.Principal, tenant, topic, asked string) bool {
	return (asked == "" || subject.Fold(topic) == subject.Fold(asked)) &&
		p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: topic}) == nil
}

// refusedOf reads a dead letter; nil if it is no operation of the tenant.
func refusedOf(h nats.Header, tenant string) *objecteventv1.RefusedOperation {
	if !strings.HasPrefix(h.Get(bus.HeaderConsumer), relayPrefix) {
		return nil
	}
	a, _, ok := subject.ParseOperation(h.Get(bus.HeaderSubject))
	if !ok || a.Tenant != tenant {
		return nil
	}
	at, _ := event.ParseCursor(h.Get(bus.HeaderCursor))                // ours
	stored, _ := time.Parse(time.RFC3339Nano, h.Get(bus.HeaderStored)) // ours, too
	// As it is read when it is decided, but for the body, which has no say in this.
	e := event.Decode("", h, nil, event.Stored{Cursor: at, Time: stored})
	if id := h.Get(bus.HeaderMsgID); id != "" && e.ID == at.String() {
		e.ID = id
	}
	why := reasonOf(h.Get(bus.HeaderReason))
	reported, err := subject.Operation(a)
	if err != nil {
		reported = h.Get(bus.HeaderSubject)
	}
	return &objecteventv1.RefusedOperation{
		Id: e.ID, Subject: reported, Topic: a.Topic, Code: why.code, Message: why.text, Reported: timestamppb.New(stored),
	}
}
