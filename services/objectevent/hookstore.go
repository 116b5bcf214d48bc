package objectevent

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// HooksBucket keeps the hooks: tenant → all of its hooks, as JSON.
const HooksBucket = "belfry_hooks"

// hookStore reads and writes hooks. A tenant's are one document, so that asking
// costs one read, and that read, answered by the bucket's leader, has every hook
// whose registration was answered before: no copy in memory could promise that.
type hookStore struct {
	kept   *bucket
	sealer sealer
}

func newHookStore(js jetstream.JetStream, s sealer) hookStore {
	return hookStore{newBucket(js, HooksBucket), s}
}

// tenantHooks is the document.
type tenantHooks struct {
	Hooks []hook `json:"hooks"` // by name
}

// list answers a tenant's hooks. Codes invalid_name, unavailable.
func (s hookStore) list(ctx context.Context, tenant string) ([]hook, error) {
	all, _, err := s.read(ctx, tenant)
	return all.Hooks, err
}

func (s hookStore) read(ctx context.Context, tenant string) (all tenantHooks, revision uint64, err error) {
	key, err := subject.Escape("tenant", tenant)
	if err != nil {
		return all, 0, err
	}
	revision, err = s.kept.get(ctx, key, &all)
	s.sealer.open(tenant, all.Hooks)
	return all, revision, err
}

// find answers one hook, whatever the case of its name. Codes not_found and those
// of list.
func (s hookStore) find(ctx context.Context, tenant, name string) (hook, error) {
	all, err := s.list(ctx, tenant)
	if err != nil {
		return hook{}, err
	}
	i := indexOf(all, name)
	if i < 0 {
		return hook{}, noHook(tenant, name)
	}
	return all[i], nil
}

func indexOf(all []hook, name string) int {
	return slices.IndexFunc(all, func(h hook) bool { return strings.EqualFold(h.Name, name) })
}

func noHook(tenant, name string) error {
	return fault.Field(fault.NotFound, "name", "%q has no hook %.64q", tenant, name)
}

// changeTries is how often a change is tried that others of the same tenant were
// faster with.
const changeTries = 10

// change replaces a tenant's hooks by what f makes of them; f may be called several
// times. Codes of f and of list; conflict when others change them all the time.
func (s hookStore) change(ctx context.Context, tenant string, f func([]hook) ([]hook, error)) error {
	key, err := subject.Escape("tenant", tenant)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		all, revision, err := s.read(ctx, tenant)
		if err != nil {
			return err
		}
		if all.Hooks, err = f(all.Hooks); err != nil {
			return err
		}
		slices.SortFunc(all.Hooks, func(a, b hook) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
		all.Hooks = s.sealer.seal(tenant, all.Hooks)
		_, err = s.kept.put(ctx, key, all, revision, 0)
		if fault.CodeOf(err) != fault.Conflict || try == changeTries {
			return err
		}
	}
}

// checkRevision compares the revision that a caller has seen, nil = whichever.
func checkRevision(h hook, want *int32) error {
	if want == nil || *want == h.Revision {
		return nil
	}
	return fault.Field(fault.Conflict, "revision", "%s has revision %d, not %d: look at it again", h.Name, h.Revision, *want)
}
