package scheduler

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// Preview implements the contract.
func (s *Service) Preview(ctx context.Context, r *schedulerv1.PreviewRequest) (*schedulerv1.PreviewResponse, error) {
	count, err := within("count", r.Count, 10, 1000) //nolint:protogetter // absent is not 0
	if err != nil {
		return nil, err
	}
	spec, id := specOf(r.GetRule()), ""
	switch {
	case r.GetRule() != nil && r.GetId() != "":
		return nil, fault.Field(fault.InvalidRequest, "id", "excludes rule; send one of them")
	case r.GetRule() == nil:
		a, err := s.ask(ctx, r.GetTenant(), r.GetId())
		if err != nil {
			return nil, err
		}
		have, err := s.find(ctx, a)
		if err != nil {
			return nil, err
		}
		spec, id = have.Rule, have.ID
	}
	rule, err := s.store.rules.parse(spec)
	if err != nil {
		return nil, err
	}
	from := s.now()
	if r.GetFrom() != "" {
		at, err := calendar.Parse(calendar.Spec{At: r.GetFrom(), Zone: spec.Zone})
		if err != nil {
			return nil, fault.Field(fault.InvalidSchedule, "from", "%.64q is no time (2026-10-25T02:30:00+02:00, 2026-10-25 02:30, 2026-10-25)", r.GetFrom())
		}
		from = at.At
	}
	answer := &schedulerv1.PreviewResponse{Fires: []*schedulerv1.Fire{}, ZoneData: zoneData()}
	for range count {
		o, ok := rule.Next(from)
		if !ok {
			break
		}
		from = o.Nominal
		answer.Fires = append(answer.Fires, fireMessage(rule, id, o))
	}
	return answer, nil
}

func fireMessage(rule calendar.Rule, id string, o calendar.Occurrence) *schedulerv1.Fire {
	zone := zoneOf(rule)
	_, change := calendar.ShiftOn(zone, o.Nominal)
	m := &schedulerv1.Fire{
		Nominal: timestamppb.New(o.Nominal), Local: o.Nominal.In(zone).Format(time.RFC3339),
		ClockChange: change, InGap: o.InGap, InOverlap: o.InOverlap,
	}
	if id != "" && rule.Jitter > 0 {
		m.Due = timestamppb.New(o.Nominal.Add(rule.Offset(id, o.Nominal)))
	}
	return m
}

// zoneData is the release of the time zone data; it is the same while the process
// lives.
var zoneData = sync.OnceValue(func() string {
	release, _ := calendar.ZoneData()
	return release
})

// History implements the contract.
func (s *Service) History(ctx context.Context, r *schedulerv1.HistoryRequest) (*schedulerv1.HistoryResponse, error) {
	a, err := s.ask(ctx, r.GetTenant(), r.GetId())
	if err != nil {
		return nil, err
	}
	limit, err := within("limit", r.Limit, historyPerSchedule, historyPerSchedule) //nolint:protogetter // absent is not 0
	if err != nil {
		return nil, err
	}
	have, err := s.store.load(ctx, a.address)
	if err != nil {
		return nil, err
	}
	// Of a deleted one only an operator may still ask: whose it was is not known.
	if !a.may(have.definition) && (have.live() || !mayOperate(ctx, a.tenant)) {
		return nil, unknown()
	}
	list, err := s.history.read(ctx, a.address, limit)
	if err != nil {
		return nil, err
	}
	answer := &schedulerv1.HistoryResponse{Entries: make([]*schedulerv1.Entry, len(list))}
	for i, e := range list {
		answer.Entries[i] = e.message()
	}
	return answer, nil
}

func mayOperate(ctx context.Context, tenant string) bool {
	return api.PrincipalOf(ctx).Decide(auth.Request{Action: auth.Admin, Tenant: tenant}) == nil
}

// epoch is the life of SCHEDULES, for the cursors of pages.
func (s *Service) epoch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := s.bus.JS.Stream(ctx, Schedules)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "stream %s does not answer", Schedules)
	}
	return stream.CachedInfo().Config.Metadata[topology.EpochKey], nil
}
