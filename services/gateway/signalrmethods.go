package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/gateway/signalr"
)

// resourceChanged is the one event that may be asked for by resource and action.
const resourceChanged = "portos.resources.changed"

// subscriptionRequest is the argument of Subscribe and Unsubscribe (PORTOS,
// "Subscribe to Events").
type subscriptionRequest struct {
	Event     string            `json:"e"` // a name of the views table
	Resources []resourceRequest `json:"r"` // null, [] and absent = all
}

type resourceRequest struct {
	Name    string   `json:"n"`
	Actions []string `json:"a"` // null, [] and absent = all
}

// subscribe is Subscribe(request): live when it is answered.
func (w *hubWindow) subscribe(ctx context.Context, arguments []json.RawMessage, complete func()) error {
	f, err := w.s.hubFilter(arguments)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, err := f.keys(w.c.who())
	if err != nil {
		w.s.record(ctx, w.c, api.Entry{What: "subscribe", Code: fault.CodeOf(err)})
		return err
	}
	return w.s.subscribe(ctx, w.c, map[filter][]key{f: keys}, func(event.Cursor) { complete() })
}

// unsubscribe is Unsubscribe(request): it takes back the subscription with the same
// parameters, and is content if there is none.
func (w *hubWindow) unsubscribe(_ context.Context, arguments []json.RawMessage, _ func()) error {
	f, err := w.s.hubFilter(arguments)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.feed.release(w.s.hub.unsubscribe(w.c, f)...)
	return nil
}

// hubFilter reads the argument. Members it does not have are refused, as they are
// everywhere: a misspelt filter would subscribe to everything.
func (s *Service) hubFilter(arguments []json.RawMessage) (filter, error) {
	if len(arguments) != 1 || len(arguments[0]) == 0 || arguments[0][0] != '{' {
		return filter{}, signalr.ErrArguments
	}
	in := json.NewDecoder(bytes.NewReader(arguments[0]))
	in.DisallowUnknownFields()
	var r subscriptionRequest
	switch err := in.Decode(&r); {
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return filter{}, fault.New(fault.InvalidRequest, "a subscription has e, and r with n and a; %s", strings.TrimPrefix(err.Error(), "json: "))
	case err != nil:
		return filter{}, fmt.Errorf("%w: %w", signalr.ErrArguments, err)
	case r.Event == "":
		return filter{}, fault.Field(fault.InvalidRequest, "e", "is missing: the name of an event")
	}
	f, err := newFilter("", "", "", r.Event)
	if err != nil {
		return f, fault.New(fault.CodeOf(err), "e: %s", strings.TrimPrefix(fault.From(err).Error(), "name: "))
	}
	if len(r.Resources) == 0 {
		return f, nil
	}
	if f.name != resourceChanged {
		return f, fault.Field(fault.InvalidRequest, "r", "goes with %s only", resourceChanged)
	}
	if most := s.config.MaxSubscriptions; len(r.Resources) > most {
		return f, fault.Field(fault.TooManySubscriptions, "r", "has %d resources, the most is %d", len(r.Resources), most)
	}
	f.resources, err = normalise(r.Resources)
	return f, err
}

// actions are what may happen to a resource: the verbs of the event's view.
var actions = func() []string {
	v, _ := event.LookupView(resourceChanged)
	return v.Verbs
}()

// normalise writes resources as one text, the same for requests that mean the same:
// names sorted and folded, each with its actions, "" = all. Names have no control
// characters, so those can stand between.
func normalise(resources []resourceRequest) (string, error) {
	wanted := map[string]map[string]bool{}
	for i, r := range resources {
		at := fmt.Sprintf("r[%d].", i)
		if r.Name == "" {
			return "", fault.Field(fault.InvalidRequest, at+"n", "is missing: the name of a resource")
		}
		if err := subject.CheckTopic(r.Name); err != nil {
			return "", fault.Field(fault.CodeOf(err), at+"n", "%s", fault.From(err).Error())
		}
		name := subject.Fold(r.Name)
		if wanted[name] == nil {
			wanted[name] = map[string]bool{}
		}
		if len(r.Actions) == 0 {
			wanted[name][""] = true
		}
		for j, a := range r.Actions {
			if !slices.Contains(actions, subject.Fold(a)) {
				return "", fault.Field(fault.InvalidRequest, fmt.Sprintf("%sa[%d]", at, j), "%q is none of %s", a, strings.Join(actions, ", "))
			}
			wanted[name][subject.Fold(a)] = true
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		lines = append(lines, name+"\t"+strings.Join(slices.Sorted(maps.Keys(wanted[name])), "\t"))
	}
	return strings.Join(lines, "\n"), nil
}

// resourceKeys are keys for a filter by resource: who may read the one topic needs no
// grant for others.
func (f filter) resourceKeys(p *auth.Principal) ([]key, error) {
	if len(p.Tenants) == 0 {
		return nil, fault.Field(fault.TenantForbidden, "tenant", "the token is for no tenant")
	}
	var keys []key
	for _, tenant := range p.Tenants {
		token, err := subject.Escape("tenant", tenant)
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(f.resources, "\n") {
			parts := strings.Split(line, "\t")
			if err := p.Decide(auth.Request{Action: auth.Subscribe, Tenant: tenant, Topic: parts[0]}); err != nil {
				return nil, err
			}
			for _, verb := range parts[1:] {
				keys = append(keys, key{tenant: token, topic: parts[0], verb: verb, view: f.name})
			}
		}
	}
	return keys, nil
}
