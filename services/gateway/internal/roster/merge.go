package roster

import "time"

// seat makes what is known of a person at a gateway what it is now. since is since
// when the gateway believes him online, and now when it was seen. Under mu.
func (r *Roster) seat(p Person, g *peer, connections uint32, since, now time.Time) {
	e := r.entries[p]
	switch {
	case e == nil && connections == 0:
		return
	case e == nil:
		e = &entry{since: since}
		r.entries[p] = e
		t := r.tenant(p.Tenant)
		t.online++
		t.stale = true
		r.news = append(r.news, change{Person: p, online: true, since: e.since, at: now})
	case connections > 0 && since.Before(e.since):
		e.since = since
	}
	e.put(g, connections, p.Tenant)
	switch {
	case len(e.seats) > 0 && !e.gone.IsZero():
		e.gone = time.Time{}
		delete(r.leaving, p)
	case len(e.seats) == 0 && e.gone.IsZero():
		e.gone = now
		r.leaving[p] = struct{}{}
	}
}

// put changes the entry's seat at a gateway, and the gateway's counts.
func (e *entry) put(g *peer, connections uint32, tenantName string) {
	for i := range e.seats {
		if e.seats[i].at != g {
			continue
		}
		if connections > 0 {
			e.seats[i].connections, e.seats[i].round = connections, g.round
			return
		}
		e.seats[i] = e.seats[len(e.seats)-1]
		e.seats = e.seats[:len(e.seats)-1]
		g.seats--
		if g.byTenant[tenantName]--; g.byTenant[tenantName] == 0 {
			delete(g.byTenant, tenantName)
		}
		return
	}
	if connections > 0 {
		e.seats = append(e.seats, seat{g, connections, g.round})
		g.seats++
		g.byTenant[tenantName]++
	}
}

func (r *Roster) tenant(name string) *tenant {
	t := r.tenants[name]
	if t == nil {
		t = &tenant{}
		r.tenants[name] = t
	}
	return t
}

// clear empties the seats of a gateway that keep does not want kept. They were
// last seen at the given moment. Under mu; it looks at everybody, and happens when
// a gateway comes or goes.
func (r *Roster) clear(g *peer, seen time.Time, keep func(seat) bool) {
	for p, e := range r.entries {
		for _, s := range e.seats {
			if s.at == g && !keep(s) {
				r.seat(p, g, 0, e.since, seen)
				break
			}
		}
	}
}

// expire ends the grace of those who did not come back. Under mu.
func (r *Roster) expire(now time.Time) {
	for p := range r.leaving {
		e := r.entries[p]
		if now.Sub(e.gone) < r.o.Grace {
			continue
		}
		delete(r.leaving, p)
		delete(r.entries, p)
		t := r.tenant(p.Tenant)
		t.online--
		t.stale = true
		if t.online == 0 {
			delete(r.tenants, p.Tenant)
		}
		r.news = append(r.news, change{Person: p, since: e.since, at: now})
	}
}

// bury forgets a gateway and empties its seats: it was last heard of at heard. What
// it should have announced since then is ours to look at again. Under mu.
func (r *Roster) bury(g *peer) {
	delete(r.peers, g.id)
	r.clear(g, g.heard, func(seat) bool { return false })
	kept := r.recent[:0]
	for _, c := range r.recent {
		if c.owner != g.id || c.at.Before(g.heard.Add(-beat)) {
			kept = append(kept, c)
			continue
		}
		if e := r.entries[c.Person]; e != nil && c.online {
			e.told = false
		}
		r.news = append(r.news, c)
	}
	r.recent = kept
}
