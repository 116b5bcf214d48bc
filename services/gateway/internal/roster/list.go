package roster

import (
	"slices"
	"strings"
	"time"
)

// sortedFor is how long a list of names that has become stale may go on to be
// paged through. The first page is always of now.
const sortedFor = time.Second

// Listed is one person of a List.
type Listed struct {
	User string
	Presence
}

// List is a page of a tenant's persons who are online, by name, behind after; total
// is how many there are. Names are sorted when somebody asks and something has
// changed, outside the lock.
func (r *Roster) List(tenantName, after string, limit int) (page []Listed, total int, more bool) {
	names := r.names(tenantName, after == "")
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tenants[tenantName]; t != nil {
		total = t.online
	}
	i, _ := slices.BinarySearch(names, after)
	for ; i < len(names); i++ {
		e := r.entries[Person{tenantName, names[i]}]
		if names[i] == after || e == nil { // gone since the names were sorted
			continue
		}
		if len(page) == limit {
			return page, total, true
		}
		page = append(page, Listed{names[i], e.presence()})
	}
	return page, total, false
}

// names are the tenant's persons, sorted; nobody changes them any more.
func (r *Roster) names(tenantName string, fresh bool) []string {
	r.mu.Lock()
	t := r.tenants[tenantName]
	r.mu.Unlock()
	if t == nil {
		return nil
	}
	t.sort.Lock() // whoever else asks now waits for the same names
	defer t.sort.Unlock()
	r.mu.Lock()
	now := time.Now()
	if !t.stale || !fresh && now.Sub(t.looked) < sortedFor {
		defer r.mu.Unlock()
		return t.names
	}
	names := make([]string, 0, t.online)
	for p := range r.entries {
		if p.Tenant == tenantName {
			names = append(names, p.User)
		}
	}
	t.stale = false // what changes from here on makes it so again
	r.mu.Unlock()

	slices.SortFunc(names, strings.Compare)
	r.mu.Lock()
	defer r.mu.Unlock()
	t.names, t.looked = names, now
	return names
}
