package objectevent

import (
	"context"
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

// The alerts are what their contract says.
var _ objecteventv1connect.AlertServiceHandler = (*alerts)(nil)

// service is the contract and the plain routes in front of it.
func (s *alerts) service() api.Service {
	return api.Service{
		Contract: objecteventv1.File_belfry_objectevent_v1_alerts_proto.Services().ByName("AlertService"),
		Methods: []api.Method{
			api.Unary("CreateAlert", s.CreateAlert), api.Unary("UpdateAlert", s.UpdateAlert), api.Unary("DeleteAlert", s.DeleteAlert),
			api.Unary("GetAlert", s.GetAlert), api.Unary("ListAlerts", s.ListAlerts), api.Unary("TestAlert", s.TestAlert),
		},
		Routes: []api.Route{
			{Pattern: "POST /v1/alerts", Method: "CreateAlert"},
			{Pattern: "GET /v1/alerts", Method: "ListAlerts"},
			{Pattern: "POST /v1/alerts/test", Method: "TestAlert"},
			{Pattern: "GET /v1/alerts/{name}", Method: "GetAlert"},
			{Pattern: "PUT /v1/alerts/{name}", Method: "UpdateAlert"},
			{Pattern: "DELETE /v1/alerts/{name}", Method: "DeleteAlert"},
		},
	}
}

// mayHave says whether the caller may have a rule: it reads its topics and writes to
// its target for ever after, in the caller's name.
func mayHave(p *auth.Principal, tenant string, r alertRule) error {
	for _, topic := range r.Topics {
		if err := p.Decide(auth.Request{Action: auth.Subscribe, Tenant: tenant, Topic: topic}); err != nil {
			return err
		}
	}
	return p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: r.Target})
}

// ruleOf reads a rule of a request.
func ruleOf(r *objecteventv1.AlertRule) alertRule {
	rule := alertRule{
		Name: r.GetName(), Topics: r.GetTopics(), Condition: r.GetCondition(), Target: r.GetTargetTopic(), TargetVerb: r.GetTargetVerb(),
		Message: r.GetMessage(), Severity: r.GetSeverity(), Throttle: r.GetThrottle().AsDuration(), Disabled: r.GetDisabled(),
	}
	for _, on := range r.GetOn() {
		rule.On = append(rule.On, onName(on))
	}
	return rule
}

// show is a rule as its owner sees it.
func (r *alertRule) show(tenant string, counted *tenantCounters) *objecteventv1.Alert {
	rule := &objecteventv1.AlertRule{
		Name: r.Name, Topics: r.Topics, Condition: r.Condition, TargetTopic: r.Target, TargetVerb: r.TargetVerb,
		Message: r.Message, Severity: r.Severity, Disabled: r.Disabled,
	}
	for _, on := range r.On {
		rule.On = append(rule.On, string(on))
	}
	if r.Throttle > 0 {
		rule.Throttle = durationpb.New(r.Throttle)
	}
	shown := &objecteventv1.Alert{
		Rule: rule, Tenant: tenant, Revision: r.Revision, Since: r.Since,
		Created: timestamp(r.Created), Updated: timestamp(r.Updated), UpdatedBy: r.UpdatedBy, DisabledReason: r.Reason,
		Counters: &objecteventv1.AlertCounters{},
	}
	k := counted.Rules[r.Name]
	if k == nil || k.Born != r.Born {
		return shown
	}
	shown.Counters = &objecteventv1.AlertCounters{
		Matched: bounded(k.Matched), Raised: bounded(k.Raised), Throttled: bounded(k.Throttled), Failed: bounded(k.Failed), LastError: k.LastError,
	}
	if !k.LastMatch.IsZero() {
		shown.Counters.LastMatch = timestamp(k.LastMatch)
	}
	if !k.LastFailure.IsZero() {
		shown.Counters.LastFailure = timestamp(k.LastFailure)
	}
	return shown
}

// bounded is a count as the contract has it.
func bounded(n int64) int32 { return int32(min(n, math.MaxInt32)) }

// GetAlert implements the contract.
func (s *alerts) GetAlert(ctx context.Context, r *objecteventv1.GetAlertRequest) (*objecteventv1.GetAlertResponse, error) {
	tenant, all, counted, err := s.seen(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	i := all.find(r.GetName())
	if i < 0 {
		return nil, noAlert(tenant, r.GetName())
	}
	return &objecteventv1.GetAlertResponse{Alert: all.Rules[i].show(tenant, counted)}, nil
}

// ListAlerts implements the contract.
func (s *alerts) ListAlerts(ctx context.Context, r *objecteventv1.ListAlertsRequest) (*objecteventv1.ListAlertsResponse, error) {
	tenant, all, counted, err := s.seen(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &objecteventv1.ListAlertsResponse{}
	for i := range all.Rules {
		answer.Alerts = append(answer.Alerts, all.Rules[i].show(tenant, counted))
	}
	return answer, nil
}

// seen is a tenant's rules and counters, for those who may see them.
func (s *alerts) seen(ctx context.Context, asked string) (tenant string, all tenantAlerts, counted *tenantCounters, err error) {
	if tenant, _, err = admin(ctx, asked); err != nil {
		return "", all, nil, err
	}
	if all, _, err = s.store.read(ctx, tenant); err != nil {
		return "", all, nil, err
	}
	counted, err = s.counters.read(ctx, tenant)
	return tenant, all, counted, err
}
