package objectevent

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// alertRecord is one change of a tenant's rules, in EVENTS at ctl.alert.<tenant>. It
// was checked against all records before it when it was written, and its writer
// expected the last of them to be the last: so whoever reads them in order has the
// rules as they were at any place of the log.
type alertRecord struct {
	Op     string     `json:"op"`
	Name   string     `json:"name"`
	Rule   *alertRule `json:"rule,omitempty"`   // for set
	Reason string     `json:"reason,omitempty"` // for fail
}

// The operations of records.
const (
	alertSet    = "set"    // the rule is this from now on
	alertRemove = "remove" // it is no more
	alertFail   = "fail"   // it failed too often, and is disabled
)

func parseAlertRecord(data []byte) (r alertRecord, err error) {
	if err := json.Unmarshal(data, &r); err != nil || r.Op == alertSet && r.Rule == nil {
		return r, fault.New(fault.Internal, "a record of alert rules that cannot be read")
	}
	return r, nil
}

// tenantAlerts is the rules of a tenant at a place of the log. In the bucket it is
// the copy that saves reading the log from its beginning, and outlives it.
type tenantAlerts struct {
	At    string      `json:"at"`    // cursor of the last record in it
	Rules []alertRule `json:"rules"` // by name
}

// seq is the position of the last record in it, counted in the log as it is now: one
// that was made anew counts from its beginning.
func (t tenantAlerts) seq(epoch string) uint64 {
	at, err := event.ParseCursor(t.At)
	if err != nil || at.Epoch != epoch {
		return 0
	}
	return at.Seq
}

func (t tenantAlerts) find(name string) int {
	return slices.IndexFunc(t.Rules, func(r alertRule) bool { return strings.EqualFold(r.Name, name) })
}

// apply is what is after the record at a cursor. It changes nothing that others see.
func (t tenantAlerts) apply(r alertRecord, at event.Cursor) tenantAlerts {
	t.Rules, t.At = slices.Clone(t.Rules), at.String()
	i := t.find(r.Name)
	switch {
	case r.Op == alertSet:
		rule := *r.Rule
		rule.Since = t.At
		if rule.Born == 0 {
			rule.Born = at.Seq
		}
		if i >= 0 {
			t.Rules[i] = rule
		} else {
			t.Rules = append(t.Rules, rule)
			slices.SortFunc(t.Rules, func(a, b alertRule) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
		}
	case i < 0:
	case r.Op == alertRemove:
		t.Rules = slices.Delete(t.Rules, i, i+1)
	case r.Op == alertFail:
		rule := &t.Rules[i]
		rule.Disabled, rule.Reason, rule.Since, rule.UpdatedBy = true, r.Reason, t.At, platformUser
		rule.Revision++
	}
	return t
}

// platformUser is who disables a rule that fails.
const platformUser = "belfry"
