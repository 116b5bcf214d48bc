package gateway

import (
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// filter is what a client asked for, as it asked: a tenant (empty = every
// tenant of the token), and a topic and verb (each empty = all) or a view's
// name. Two equal requests are one subscription (SR2).
type filter struct {
	tenant, topic, verb, name string

	resources string // of the name resourceChanged, as normalise writes them; "" = all
}

// key is what the hub indexes: one tenant, folded topic and verb, or a view.
// The tenant is the escaped token of the subject.
type key struct{ tenant, topic, verb, view string }

// newFilter checks and folds a request.
func newFilter(tenant, topic, verb, name string) (filter, error) {
	f := filter{tenant: tenant, topic: subject.Fold(topic), verb: subject.Fold(verb)}
	if tenant != "" {
		if err := subject.CheckTenant(tenant); err != nil {
			return f, err
		}
	}
	if topic != "" {
		if err := subject.CheckTopic(topic); err != nil {
			return f, err
		}
	}
	if verb != "" {
		if err := subject.CheckVerb(verb); err != nil {
			return f, err
		}
	}
	if name == "" {
		return f, nil
	}
	if topic != "" || verb != "" {
		return f, fault.Field(fault.InvalidRequest, "name", "excludes topic and verb; send either")
	}
	if subject.Fold(name) == presenceName {
		f.name = presenceName
		return f, nil
	}
	v, ok := event.LookupView(name)
	switch {
	case !ok:
		return f, fault.Field(fault.UnknownName, "name", "%q is not the name of an event", name)
	case v.Form == event.Realtime:
		// Subscribing to one would seem to leave the others out.
		return f, fault.Field(fault.UnknownName, "name", "%s is a real-time event: these come without subscribing; to have only some codes, narrow the connection to them", v.Name)
	}
	f.name = v.Name
	return f, nil
}

// keys are the filter's index entries for a principal, after its one decision
// function has allowed each. A filter without tenant or topic means what the
// token grants, and is refused only if that is nothing.
func (f filter) keys(p *auth.Principal) ([]key, error) {
	if f.signal() {
		return f.signalKeys(p)
	}
	if f.resources != "" {
		return f.resourceKeys(p)
	}
	tenants := []string{f.tenant}
	if f.tenant == "" {
		tenants = p.Tenants
	}
	var keys []key
	for _, tenant := range tenants {
		token, err := subject.Escape("tenant", tenant)
		if err != nil {
			return nil, err
		}
		topics, err := f.topics(p, tenant)
		if err != nil {
			return nil, err
		}
		for _, topic := range topics {
			keys = append(keys, key{token, topic, f.verb, f.name})
		}
	}
	if len(keys) == 0 {
		return nil, fault.Field(fault.TenantForbidden, "tenant", "the token is for no tenant")
	}
	return keys, nil
}

// topics are the folded topics of the filter that p may read in tenant; ""
// stands for all.
func (f filter) topics(p *auth.Principal, tenant string) ([]string, error) {
	topic := f.topic
	if f.name != "" {
		v, _ := event.LookupView(f.name)
		topic = subject.Fold(v.Topic)
	}
	err := p.Decide(auth.Request{Action: auth.Subscribe, Tenant: tenant, Topic: topic})
	if err == nil {
		if f.name != "" {
			topic = "" // the view itself knows its topic
		}
		return []string{topic}, nil
	}
	if topic != "" || f.name != "" || fault.CodeOf(err) != fault.GrantMissing {
		return nil, err
	}
	var granted []string
	for _, g := range p.Grants {
		if g.Action == auth.Subscribe {
			granted = append(granted, g.Topic)
		}
	}
	if len(granted) == 0 {
		return nil, err
	}
	return granted, nil
}
