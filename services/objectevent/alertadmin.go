package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// certainWithin is how long a change of rules waits for the relay to pass its record.
const certainWithin = 10 * time.Second

// CreateAlert implements the contract.
func (s *alerts) CreateAlert(ctx context.Context, r *objecteventv1.CreateAlertRequest) (*objecteventv1.CreateAlertResponse, error) {
	api.Administrative(ctx)
	shown, err := s.set(ctx, r.GetTenant(), ruleOf(r.GetRule()), func(t tenantAlerts, rule *alertRule) error {
		switch {
		case t.find(rule.Name) >= 0:
			return fault.Field(fault.Conflict, "name", "there is a rule %q already; update it", rule.Name)
		case len(t.Rules) >= s.config.MaxAlerts:
			return fault.New(fault.TooManyAlerts, "there are %d rules, which is the maximum", len(t.Rules))
		}
		rule.Revision, rule.Created = 1, rule.Updated
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.CreateAlertResponse{Alert: shown}, nil
}

// UpdateAlert implements the contract.
func (s *alerts) UpdateAlert(ctx context.Context, r *objecteventv1.UpdateAlertRequest) (*objecteventv1.UpdateAlertResponse, error) {
	api.Administrative(ctx)
	asked := ruleOf(r.GetRule())
	if asked.Name != "" && !strings.EqualFold(asked.Name, r.GetName()) {
		return nil, fault.Field(fault.InvalidRequest, "rule.name", "a rule cannot be renamed; delete it and set another")
	}
	asked.Name = r.GetName()
	shown, err := s.set(ctx, r.GetTenant(), asked, func(t tenantAlerts, rule *alertRule) error {
		i, err := t.at(rule.Name, r.Revision)
		if err != nil {
			return err
		}
		was := t.Rules[i]
		rule.Name, rule.Revision, rule.Created, rule.Born = was.Name, was.Revision+1, was.Created, was.Born
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.UpdateAlertResponse{Alert: shown}, nil
}

// DeleteAlert implements the contract.
func (s *alerts) DeleteAlert(ctx context.Context, r *objecteventv1.DeleteAlertRequest) (*objecteventv1.DeleteAlertResponse, error) {
	api.Administrative(ctx)
	tenant, _, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	t, seq, err := s.store.change(ctx, tenant, func(t tenantAlerts) (*alertRecord, error) {
		i, err := t.at(r.GetName(), r.Revision)
		if err != nil {
			return nil, err
		}
		return &alertRecord{Op: alertRemove, Name: t.Rules[i].Name}, nil
	})
	if err != nil {
		return nil, err
	}
	return &objecteventv1.DeleteAlertResponse{Since: t.At}, s.certain(ctx, seq)
}

// set checks a rule, writes its record, and waits until it holds. place finds its
// place among the others, and may be called several times.
func (s *alerts) set(ctx context.Context, asked string, rule alertRule, place func(tenantAlerts, *alertRule) error) (*objecteventv1.Alert, error) {
	tenant, p, err := admin(ctx, asked)
	if err != nil {
		return nil, err
	}
	if err := rule.check(); err != nil {
		return nil, err
	}
	if err := mayHave(p, tenant, rule); err != nil {
		return nil, err
	}
	rule.Updated, rule.UpdatedBy = time.Now().UTC(), p.Subject
	t, seq, err := s.store.change(ctx, tenant, func(t tenantAlerts) (*alertRecord, error) {
		placed := rule
		if err := place(t, &placed); err != nil {
			return nil, err
		}
		return &alertRecord{Op: alertSet, Name: placed.Name, Rule: &placed}, t.with(placed)
	})
	if err != nil {
		return nil, err
	}
	counted, err := s.counters.read(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return t.Rules[t.find(rule.Name)].show(tenant, counted), s.certain(ctx, seq)
}

// check holds a rule against everything that can be seen from itself.
func (r *alertRule) check() error {
	if err := r.complete(); err != nil {
		return err
	}
	if isOwn(r.Target) {
		return fault.Field(fault.InvalidRule, "targetTopic", "%q is where rules' own troubles are told", alertsTopic)
	}
	_, err := compileAlert(*r)
	return err
}

// with says what is wrong with the rules if this is one of them. Codes alert_loop,
// too_many_alerts.
func (t tenantAlerts) with(rule alertRule) error {
	all := slices.Clone(t.Rules)
	if i := t.find(rule.Name); i >= 0 {
		all[i] = rule
	} else {
		all = append(all, rule)
	}
	if err := findLoop(all, rule.Name); err != nil {
		return err
	}
	document, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("write the alert rules: %w", err)
	}
	if len(document) > maxAlertDocument {
		return fault.New(fault.TooManyAlerts, "all rules of the tenant would take %d bytes, the maximum is %d", len(document), maxAlertDocument)
	}
	return nil
}

// at finds a rule that must have a revision, nil = whichever. Codes not_found,
// conflict.
func (t tenantAlerts) at(name string, revision *int32) (int, error) {
	i := t.find(name)
	switch {
	case i < 0:
		return i, fault.Field(fault.NotFound, "name", "there is no rule %.64q", name)
	case revision != nil && *revision != t.Rules[i].Revision:
		return i, fault.Field(fault.Conflict, "revision", "%s has revision %d, not %d: look at it again", t.Rules[i].Name, t.Rules[i].Revision, *revision)
	}
	return i, nil
}

func noAlert(tenant, name string) error {
	return fault.Field(fault.NotFound, "name", "%q has no rule %.64q", tenant, name)
}

// certain waits until the relay has passed a record: from then on nothing can keep it
// from holding.
func (s *alerts) certain(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, certainWithin)
	defer cancel()
	if err := s.relay.Await(ctx, seq); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the rule is stored, but the relay is behind it; look again whether it holds")
	}
	return nil
}
