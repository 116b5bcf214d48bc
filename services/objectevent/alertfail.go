package objectevent

import (
	"context"
	"fmt"
	"time"

	"github.com/belfry-events/belfry/pkg/telemetry"
)

// maxAlertFailures is after how many failures in a row a rule is disabled. A rule
// that asks for a value which no change has fails every time, and tells nobody
// anything.
const maxAlertFailures = 20

// failing is how often a rule has failed in a row, as this worker has seen it. It
// decides no alert, so it may be forgotten: what disables the rule is a record, which
// has its place in the log like any other.
type failing struct {
	since string // of the rule
	times int
	last  uint64
	why   string
}

// failed counts a failure.
func (a *alerter) failed(r *compiledAlert, c *change, k *alertCounter, err error) {
	a.stats.count(alertFailed)
	k.failed(c, err)
	of := a.failing[c.Tenant]
	if of == nil {
		of = map[string]*failing{}
		a.failing[c.Tenant] = of
	}
	f := of[r.Name]
	if f == nil || f.since != r.Since {
		f = &failing{since: r.Since}
		of[r.Name] = f
	}
	if f.last < c.at.Seq { // not asked again about the same change
		f.times, f.last, f.why = f.times+1, c.at.Seq, oneLine(err.Error())
	}
}

// succeeded ends a row of failures.
func (a *alerter) succeeded(r *compiledAlert, c *change) {
	if f := a.failing[c.Tenant][r.Name]; f != nil && f.last < c.at.Seq {
		delete(a.failing[c.Tenant], r.Name)
	}
}

// disableFailing writes the records that disable rules which keep failing. The event
// alerts.disabled follows from the record.
func (a *alerter) disableFailing(ctx context.Context) error {
	for tenant, of := range a.failing {
		for name, f := range of {
			if f.times < maxAlertFailures {
				continue
			}
			if err := a.disable(ctx, tenant, name, f); err != nil {
				return err
			}
			delete(of, name)
		}
	}
	return nil
}

func (a *alerter) disable(ctx context.Context, tenant, name string, f *failing) error {
	ctx, cancel := context.WithTimeout(ctx, alertWriteWithin)
	defer cancel()
	_, _, err := a.store.change(ctx, tenant, func(t tenantAlerts) (*alertRecord, error) {
		i := t.find(name)
		if i < 0 || t.Rules[i].Since != f.since || t.Rules[i].Disabled {
			return nil, nil //nolint:nilnil // somebody has seen to it
		}
		return &alertRecord{Op: alertFail, Name: t.Rules[i].Name, Reason: fmt.Sprintf("it failed %d times in a row: %s", f.times, f.why)}, nil
	})
	if err == nil {
		a.log.WarnContext(ctx, "alert rule disabled: it keeps failing", telemetry.KeyTenant, tenant, "rule", name)
	}
	return err
}

// alertWriteWithin bounds what the relay itself writes about rules.
const alertWriteWithin = 5 * time.Second
