package gateway

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// presenceName is what a connection subscribes to who would know who comes and
// goes. It is no view: no system that we grew from had it.
const presenceName = "presence"

// Subscriptions to what is never stored share the hub's index with those to the
// log. In the place of the tenant their keys have the pattern that the gateway
// listens on for them, by reference count as it does for a tenant's events:
//
//	{frm.time.Noon}            clock._.>, and clock.<tenant>.> of the token's tenants
//	{tenant AA, frm.time.Noon} clock.AA.>
//	{tenant AA, presence}      presence.AA.>

// unstored says whether a key's tenant is such a pattern: they end in what no
// escaped name contains.
func unstored(token string) bool { return strings.HasSuffix(token, ">") }

// signal says whether a filter is for what is never stored.
func (f filter) signal() bool {
	v, ok := event.LookupView(f.name)
	return f.name == presenceName || ok && v.Form != event.Durable
}

// signalKeys are keys for such a filter. Any valid token may listen to the clock;
// presence needs the grant realtime.
func (f filter) signalKeys(p *auth.Principal) ([]key, error) {
	pattern, action := subject.TokenClock, auth.Clock
	if f.name == presenceName {
		pattern, action = subject.TokenPresence, auth.Realtime
	}
	tenants := []string{f.tenant}
	if f.tenant == "" {
		tenants = p.Tenants
	}
	var keys []key
	for _, tenant := range tenants {
		if err := p.Decide(auth.Request{Action: action, Tenant: tenant}); err != nil {
			return nil, err
		}
		token, err := subject.Escape("tenant", tenant)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key{tenant: pattern(token), view: f.name})
	}
	switch {
	case f.name != presenceName && f.tenant == "":
		keys = append(keys, key{tenant: subject.TokenClock(subject.Platform), view: f.name})
	case len(keys) == 0:
		return nil, fault.Field(fault.TenantForbidden, "tenant", "the token is for no tenant")
	}
	return keys, nil
}

// durable are the tenants of the log that are wanted, escaped.
func durable(want map[filter][]key) (tenants []string) {
	for _, keys := range want {
		for _, k := range keys {
			if !unstored(k.tenant) {
				tenants = append(tenants, k.tenant)
			}
		}
	}
	return tenants
}

// refuseSignals is for those who read the log.
func refuseSignals(want map[filter][]key) error {
	for f := range want {
		if f.signal() {
			return fault.Field(fault.UnknownName, "name", "%q is never stored, so the log does not have it; subscribe to it", f.name)
		}
	}
	return nil
}

// unstoredForm is the form in which events that are never stored are delivered:
// as their only view.
const unstoredForm = stored << 1

// newUnstored is the delivery of an event that is never stored. It has no cursor,
// and gives way where a stored one would have the client resume.
func newUnstored(ev *event.Event, span trace.SpanContext) *delivery {
	d := &delivery{ev: ev, span: span, born: ev.Time.UnixNano()}
	if v, ok := event.LiveView(ev); ok {
		d.views = []event.View{v}
	}
	return d
}

// unstored says whether this is one.
func (d *delivery) unstored() bool { return d.cursor.IsZero() }

// expired says whether nobody shall have it any more (SR4).
func (d *delivery) expired(now time.Time) bool {
	return !d.ev.ExpiryTime.IsZero() && !now.Before(d.ev.ExpiryTime)
}

// spread queues an event for every connection that subscribed to a key, once each.
func (h *hub) spread(k key, d *delivery, out *outgoing) (reached int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass++
	for _, s := range h.index[k] {
		if c := s.conn; c.pass != h.pass {
			c.pass = h.pass
			out.deliver(c, d.item(c.proto, unstoredForm))
			reached++
		}
	}
	return reached
}
