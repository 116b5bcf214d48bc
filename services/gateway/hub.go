package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// hub knows which connection asked for what, and how far each tenant's feed has
// come. Position and index have one lock, so that whoever subscribes learns
// exactly from where on the hub will route to it (GW3).
type hub struct {
	mu      sync.Mutex
	index   map[key][]*subscription
	conns   map[*connection]struct{}
	tenants map[string]*tenantFeed // by escaped tenant
	end     uint64                 // the log had come so far, at least
	recent  recent
	census  census
	closed  bool          // nobody may join any more
	empty   chan struct{} // closes when nobody is left after that

	// Of the feed goroutine, kept to be used again.
	pass    uint64
	touched []*connection
}

// subscription is one entry of the index.
type subscription struct {
	conn *connection
	key  key
	at   int    // its place in index[key]
	from uint64 // events up to here are not routed through it
}

// asked is what a connection has asked for, and the entries that this became. A
// connection has few, so a list is smaller than a map, and as fast.
type asked struct {
	filter filter
	subs   []*subscription
}

// asked is where a filter stands in the connection's list; -1 = nowhere.
func (c *connection) asked(f filter) int {
	return slices.IndexFunc(c.subs, func(a asked) bool { return a.filter == f })
}

func newHub(c Config) *hub {
	return &hub{
		recent:  recent{limit: c.RecentBytes, keep: c.RecentFor},
		census:  newCensus(connectionLimits{c.MaxConnections, c.MaxUserConnections, c.MaxTenantConnections}),
		index:   map[key][]*subscription{},
		conns:   map[*connection]struct{}{},
		tenants: map[string]*tenantFeed{},
		empty:   make(chan struct{}),
	}
}

// keysOf calls yield with every index key that the delivery answers to and the
// form it stands for.
func (d *delivery) keysOf(tenant string, yield func(key, forms)) {
	topic, verb := subject.Fold(d.ev.Topic), subject.Fold(d.ev.Verb)
	yield(key{tenant: tenant, topic: topic, verb: verb}, stored)
	yield(key{tenant: tenant, topic: topic}, stored)
	yield(key{tenant: tenant, verb: verb}, stored)
	yield(key{tenant: tenant}, stored)
	for i, v := range d.views {
		yield(key{tenant: tenant, view: v.Name}, stored<<(i+1))
		yield(key{tenant: tenant, topic: topic, view: v.Name}, stored<<(i+1))
		yield(key{tenant: tenant, topic: topic, verb: verb, view: v.Name}, stored<<(i+1))
	}
}

// route queues one event for every connection that asked for it, once each, in
// the union of the forms it asked for, and moves the tenant's position.
func (h *hub) route(t *tenantFeed, d *delivery, out *outgoing) (reached int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seq := d.cursor.Seq
	h.pass++
	h.touched = h.touched[:0]
	d.keysOf(t.token, func(k key, form forms) {
		for _, s := range h.index[k] {
			if seq <= s.from {
				continue
			}
			c := s.conn
			if c.pass != h.pass {
				c.pass, c.forms = h.pass, 0
				h.touched = append(h.touched, c)
			}
			c.forms |= form
		}
	})
	for _, c := range h.touched {
		out.deliver(c, d.item(c.proto, c.forms))
	}
	h.recent.add(t, d, time.Now())
	h.advance(t, seq)
	return len(h.touched)
}

// advance moves a tenant's position. Under mu.
func (h *hub) advance(t *tenantFeed, seq uint64) {
	t.pos = max(t.pos, seq)
	h.end = max(h.end, t.pos)
}

// join makes a connection known. Codes draining, at_capacity,
// too_many_connections.
func (h *hub) join(c *connection) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errNotServing
	}
	if err := h.census.enter(c.principal); err != nil {
		return err
	}
	h.conns[c] = struct{}{}
	return nil
}

// full says that nobody may join now. Code at_capacity.
func (h *hub) full() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.census.full()
}

// leave forgets a connection and all it asked for, and returns the tenants whose
// feed it used, once per key.
func (h *hub) leave(c *connection) (released []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(c.subs) > 0 {
		released = append(released, h.drop(c, c.subs[len(c.subs)-1].filter)...)
	}
	if _, here := h.conns[c]; here {
		h.census.leave(c.principal)
	}
	delete(h.conns, c)
	if h.closed && len(h.conns) == 0 {
		close(h.empty)
	}
	return released
}

// close lets nobody join any more; h.empty closes when everybody has left.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if len(h.conns) == 0 {
		close(h.empty)
	}
}

// subscribe adds filters to a connection and answers the position from which they
// are live: everything newer will be routed. Until its stopHolding, the
// connection holds live events back, so that the answer can go first. The
// tenants' feeds must have been acquired; unused are those the hub did not need,
// because the connection had the filter already or err is not nil.
func (h *hub) subscribe(c *connection, want map[filter][]key, limit int) (from uint64, unused []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := 0
	for f, keys := range want {
		had := c.asked(f) >= 0
		if !had {
			fresh++
		}
		for _, k := range keys {
			from = max(from, h.tenants[k.tenant].pos)
			if had {
				unused = append(unused, k.tenant)
			}
		}
	}
	if len(c.subs)+fresh > limit {
		unused = unused[:0]
		for _, keys := range want {
			for _, k := range keys {
				unused = append(unused, k.tenant)
			}
		}
		return 0, unused, fault.New(fault.TooManySubscriptions, "one connection may hold %d subscriptions", limit)
	}
	c.startHolding()
	for f, keys := range want {
		if c.asked(f) < 0 {
			h.insert(c, f, keys, from)
		}
	}
	return from, unused, nil
}

// subscribeHolding adds several filters at once for a connection that resumes and
// has been sent everything up to after: live events are held back, and the log
// must be read up to the answered position.
func (h *hub) subscribeHolding(c *connection, want map[filter][]key, after uint64) (from uint64, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, here := h.conns[c]; !here { // it ended while it was reading the log
		return 0, false
	}
	for f, keys := range want {
		h.insert(c, f, keys, 0)
	}
	return h.hold(c, after), true
}

// holdAgain starts a new round for a resumption whose held events did not fit.
func (h *hub) holdAgain(c *connection, after uint64) (from uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold(c, after)
}

func (h *hub) hold(c *connection, after uint64) (from uint64) {
	c.startHolding()
	from = after
	for _, a := range c.subs {
		for _, s := range a.subs {
			from = max(from, h.tenants[s.key.tenant].pos)
		}
	}
	for _, a := range c.subs {
		for _, s := range a.subs {
			s.from = from
		}
	}
	return from
}

func (h *hub) insert(c *connection, f filter, keys []key, from uint64) {
	a := asked{filter: f, subs: make([]*subscription, len(keys))}
	for i, k := range keys {
		a.subs[i] = h.add(c, k, from)
	}
	c.subs = append(c.subs, a)
}

func (h *hub) add(c *connection, k key, from uint64) *subscription {
	s := &subscription{conn: c, key: k, at: len(h.index[k]), from: from}
	h.index[k] = append(h.index[k], s)
	return s
}

// unsubscribe removes exactly this filter; the answer is as of leave. A filter
// the connection does not have is no error (SR2).
func (h *hub) unsubscribe(c *connection, f filter) (released []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop(c, f)
}

func (h *hub) drop(c *connection, f filter) (released []string) {
	i := c.asked(f)
	if i < 0 {
		return nil
	}
	for _, s := range c.subs[i].subs {
		list := h.index[s.key]
		end := len(list) - 1
		list[s.at] = list[end]
		list[s.at].at = s.at
		list[end] = nil
		if end == 0 {
			delete(h.index, s.key)
		} else {
			h.index[s.key] = list[:end]
		}
		released = append(released, s.key.tenant)
	}
	c.subs = slices.Delete(c.subs, i, i+1)
	return released
}

// filters are what the connection holds now.
func (h *hub) filters(c *connection) []filter {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]filter, 0, len(c.subs))
	for _, a := range c.subs {
		all = append(all, a.filter)
	}
	return all
}

// all is a snapshot of the connections.
func (h *hub) all() []*connection {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*connection, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	return all
}

// waiting is how many bytes wait for connections, in all and for one at most.
func (h *hub) waiting() (all, most int) {
	for _, c := range h.all() {
		c.mu.Lock()
		all, most = all+c.waiting, max(most, c.waiting)
		c.mu.Unlock()
	}
	return all, most
}
