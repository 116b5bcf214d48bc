package gateway

import (
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// crowd is who is connected here, and listens for them: on rt.<tenant>.u.<user>
// only while that user is connected, on rt.<tenant>.all only while somebody of the
// tenant is, on rt._.all only while anybody is (RT3). So the NATS server itself
// answers for everybody who is not. All subscriptions end in one channel, which
// costs no goroutine and keeps the order (RT6).
type crowd struct {
	nc     *nats.Conn
	in     chan *nats.Msg
	roster *roster.Roster
	out    *slog.Logger

	mu      sync.Mutex
	users   map[roster.Person]*audience
	tenants map[string]*audience
	all     *audience
}

// audience is the connections that one subject reaches.
type audience struct {
	sub   *nats.Subscription
	conns map[*connection]struct{}
	wants [kinds]int // how many of them want a kind
}

func newCrowd(nc *nats.Conn, in chan *nats.Msg, r *roster.Roster, out *slog.Logger) *crowd {
	return &crowd{nc: nc, in: in, roster: r, out: out, users: map[roster.Person]*audience{}, tenants: map[string]*audience{}}
}

// personsOf are the users a principal is: one in each of its tenants. Names that no
// subject can have reach nobody.
func personsOf(p *auth.Principal) []roster.Person {
	var persons []roster.Person
	for _, tenant := range p.Tenants {
		person := roster.Person{Tenant: tenant, User: p.Subject}
		if _, err := subject.User(tenant, p.Subject); err == nil && !slices.Contains(persons, person) {
			persons = append(persons, person)
		}
	}
	return persons
}

// enter lets a connection have the real-time events of its principal. A caller who
// was refused is nobody.
func (w *crowd) enter(c *connection) {
	if c.principal.Subject == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.present, c.persons = true, personsOf(c.principal)
	w.all = w.add(w.all, subject.Recipient{}, c)
	for _, p := range c.persons {
		w.addPerson(p, c)
	}
}

// leave is the end of enter.
func (w *crowd) leave(c *connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.present {
		return
	}
	c.present = false
	w.all = w.drop(w.all, c)
	for _, p := range c.persons {
		w.dropPerson(p, c)
	}
	c.persons = nil
}

// renew is for a connection whose principal has changed: those tenants it keeps
// notice nothing.
func (w *crowd) renew(c *connection, principal *auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.present {
		return
	}
	before := c.persons
	c.persons = personsOf(principal)
	for _, p := range c.persons {
		if !slices.Contains(before, p) {
			w.addPerson(p, c)
		}
	}
	for _, p := range before {
		if !slices.Contains(c.persons, p) {
			w.dropPerson(p, c)
		}
	}
}

// narrow changes which codes a connection wants.
func (w *crowd) narrow(c *connection, to codeSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.audiences(c) {
		a.count(c.codes, -1)
		a.count(to, +1)
	}
	c.codes = to
}

// audiences are those that a connection is in. Under mu.
func (w *crowd) audiences(c *connection) iter.Seq[*audience] {
	return func(yield func(*audience) bool) {
		if !c.present || !yield(w.all) {
			return
		}
		for _, p := range c.persons {
			if !yield(w.users[p]) || !yield(w.tenants[p.Tenant]) {
				return
			}
		}
	}
}

func (w *crowd) addPerson(p roster.Person, c *connection) {
	w.users[p] = w.add(w.users[p], subject.Recipient(p), c)
	w.tenants[p.Tenant] = w.add(w.tenants[p.Tenant], subject.Recipient{Tenant: p.Tenant}, c)
	w.roster.Enter(p)
}

func (w *crowd) dropPerson(p roster.Person, c *connection) {
	if w.users[p] = w.drop(w.users[p], c); w.users[p] == nil {
		delete(w.users, p)
	}
	if w.tenants[p.Tenant] = w.drop(w.tenants[p.Tenant], c); w.tenants[p.Tenant] == nil {
		delete(w.tenants, p.Tenant)
	}
	w.roster.Leave(p)
}

// add puts a connection into an audience, and makes one, that listens, where there
// is none. Subscribing only writes into the connection's buffer, so it is done
// under mu: a subscription and the end of the one before cannot overtake each
// other.
func (w *crowd) add(a *audience, to subject.Recipient, c *connection) *audience {
	if a == nil {
		a = &audience{conns: map[*connection]struct{}{}}
		subj, err := to.Subject()
		if err == nil {
			a.sub, err = w.nc.ChanSubscribe(subj, w.in)
		}
		if err != nil && !w.nc.IsClosed() {
			w.out.Error("no real-time events for a new audience", telemetry.KeySubject, subj, telemetry.Err(err))
		}
	}
	a.conns[c] = struct{}{}
	a.count(c.codes, +1)
	return a
}

// drop takes a connection out; nil = nobody is left, and nobody listens.
func (w *crowd) drop(a *audience, c *connection) *audience {
	delete(a.conns, c)
	a.count(c.codes, -1)
	if len(a.conns) > 0 {
		return a
	}
	if a.sub != nil {
		_ = a.sub.Unsubscribe() // fails only with a connection that is closed
	}
	return nil
}

func (a *audience) count(s codeSet, by int) {
	for kind := range otherCode + 1 {
		if s.has(kind) {
			a.wants[kind] += by
		}
	}
}

// of is the audience of a recipient, nil if there is none. Under mu.
func (w *crowd) of(to subject.Recipient) *audience {
	switch {
	case to.User != "":
		return w.users[roster.Person(to)]
	case to.Tenant != "":
		return w.tenants[to.Tenant]
	}
	return w.all
}

// anyKind counts connections whatever they want.
const anyKind = -1

// count is how many connections of a recipient want a kind. It looks at nobody.
func (w *crowd) count(to subject.Recipient, kind int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.of(to)
	switch {
	case a == nil:
		return 0
	case kind == anyKind:
		return len(a.conns)
	}
	return a.wants[kind]
}

// deliver queues an event for every connection of a recipient that wants its kind,
// and says how many.
func (w *crowd) deliver(to subject.Recipient, kind int, d *delivery, out *outgoing) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.of(to)
	if a == nil || a.wants[kind] == 0 {
		return 0
	}
	for c := range maps.Keys(a.conns) {
		if c.codes.has(kind) {
			out.deliver(c, d.item(c.proto, unstoredForm))
			n++
		}
	}
	return n
}
