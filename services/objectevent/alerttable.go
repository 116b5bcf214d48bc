package objectevent

import (
	"slices"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
)

// alertTable is the rules of all tenants, compiled, as they were at any place of the
// log that the relay may still be asked about: it asks again about a message whose
// batch failed, when messages behind it, records among them, were looked at already.
type alertTable struct {
	tenants map[string][]*alertVersion // the oldest first
	seen    map[string]*seenSubject    // by subject of events
	living  int                        // rules that are not disabled
}

// alertVersion is a tenant's rules from a record on, to the next. They are compiled
// when a change asks for them first: many records may follow each other.
type alertVersion struct {
	since    uint64 // sequence of the record; 0 = all that the relay may be asked about
	kept     tenantAlerts
	before   *alertVersion             // until it is compiled: has most of the rules already
	compiled map[string]*compiledAlert // nil = not yet
	index    map[alertPlace]*alertIndex
}

// seenSubject is a subject taken apart, so that the next event under it need not be.
type seenSubject struct {
	tenant string
	place  alertPlace
}

// maxSeen is how many subjects are remembered before it begins anew.
const maxSeen = 20_000

func newAlertTable() *alertTable {
	return &alertTable{tenants: map[string][]*alertVersion{}, seen: map[string]*seenSubject{}}
}

// put makes rules hold behind a sequence.
func (t *alertTable) put(tenant string, since uint64, rules tenantAlerts) {
	before := t.newest(tenant)
	t.tenants[tenant] = append(t.tenants[tenant], &alertVersion{since: since, kept: rules, before: before.built()})
	t.living += rules.living()
	if before != nil {
		t.living -= before.kept.living()
	}
}

// built is the newest version, up to this one, that is compiled; nil = none.
func (v *alertVersion) built() *alertVersion {
	if v == nil || v.compiled != nil {
		return v
	}
	return v.before
}

// living is how many rules are not disabled.
func (t tenantAlerts) living() (n int) {
	for i := range t.Rules {
		if !t.Rules[i].Disabled {
			n++
		}
	}
	return n
}

// newest is a tenant's rules as the last record has them; nil = none.
func (t *alertTable) newest(tenant string) *alertVersion {
	versions := t.tenants[tenant]
	if len(versions) == 0 {
		return nil
	}
	return versions[len(versions)-1]
}

// before is a tenant's rules just before a sequence; nil = none.
func (t *alertTable) before(tenant string, seq uint64) *alertVersion {
	for _, v := range slices.Backward(t.tenants[tenant]) {
		if v.since < seq {
			return v
		}
	}
	return nil
}

// forget drops the versions that nobody is asked about any more: what is before a
// sequence is settled.
func (t *alertTable) forget(tenant string, settled uint64) {
	versions := t.tenants[tenant]
	for len(versions) > 1 && versions[1].since <= settled {
		versions = versions[1:]
	}
	t.tenants[tenant] = versions
}

// about is the rules about the event under a subject at a sequence; nil = none.
func (t *alertTable) about(subj string, seq uint64) *alertIndex {
	s, known := t.seen[subj]
	if !known {
		if a, ok := subject.ParseEvent(subj); ok {
			s = &seenSubject{a.Tenant, alertPlace{subject.Fold(a.Topic), onVerbs[subject.Fold(a.Verb)]}}
		}
		if len(t.seen) >= maxSeen {
			clear(t.seen)
		}
		t.seen[subj] = s
	}
	if s == nil || s.place.on == "" {
		return nil
	}
	v := t.before(s.tenant, seq)
	if v == nil {
		return nil
	}
	if v.compiled == nil {
		v.compile()
	}
	return v.index[s.place]
}

// compile makes rules that can be asked, but for those that the version before has.
func (v *alertVersion) compile() {
	v.compiled, v.index = map[string]*compiledAlert{}, map[alertPlace]*alertIndex{}
	places := map[alertPlace][]*compiledAlert{}
	for _, r := range v.kept.Rules {
		if r.Disabled {
			continue
		}
		c := v.before.have(r)
		if c == nil {
			var err error
			if c, err = compileAlert(r); err != nil {
				c = &compiledAlert{alertRule: r, broken: err}
			}
		}
		v.compiled[r.Name] = c
		for _, topic := range r.Topics {
			for _, on := range r.On {
				p := alertPlace{topic, on}
				places[p] = append(places[p], c)
			}
		}
	}
	for p, list := range places {
		v.index[p] = newAlertIndex(list)
	}
	v.before = nil
}

// have is a rule that is compiled already, at the same revision and from the same
// record; nil = none.
func (v *alertVersion) have(r alertRule) *compiledAlert {
	if v == nil {
		return nil
	}
	c := v.compiled[r.Name]
	if c == nil || c.Since != r.Since || c.Revision != r.Revision {
		return nil
	}
	return c
}

// alertTableOf makes the table of rules as they are at a place of the log.
func alertTableOf(all map[string]tenantAlerts) *alertTable {
	t := newAlertTable()
	for tenant, rules := range all {
		t.put(tenant, 0, rules)
	}
	return t
}

// applied is what a record makes of a tenant's rules; told twice about the same
// record, it does the same once.
func (t *alertTable) applied(tenant string, r alertRecord, at event.Cursor) {
	var now tenantAlerts
	if v := t.newest(tenant); v != nil {
		if now = v.kept; now.seq(at.Epoch) >= at.Seq {
			return
		}
	}
	t.put(tenant, at.Seq, now.apply(r, at))
}
