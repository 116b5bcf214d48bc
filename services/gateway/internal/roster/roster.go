package roster

import (
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// beat is how often a gateway says that it is there.
	beat = 500 * time.Millisecond
	// silence is how long it may be silent before it counts as dead: several
	// beats, and under the 5 seconds that presence may be wrong.
	silence = 3 * time.Second
	// gather is how long changes are collected into one message.
	gather = 20 * time.Millisecond
	// listening is how long a new gateway listens before it takes part in
	// announcing; those who are there answer its first message at once.
	listening = 300 * time.Millisecond
	// askAgain is how long an answer to Ask may take.
	askAgain = time.Second
)

// Options configure New.
type Options struct {
	NC      *nats.Conn
	Gateway string        // our id, another one after each start
	Grace   time.Duration // how long a user without connections stays online
	Log     *slog.Logger
	// Changed is told of each presence event sent, "online" or "offline", and Said
	// of each message to the other gateways; neither may block. nil = nobody.
	Changed func(what string)
	Said    func(bytes int)
}

// Person is a user of a tenant.
type Person struct{ Tenant, User string }

// Presence is what is known of a person now.
type Presence struct {
	Online      bool
	Since       time.Time // zero when offline
	Connections int       // over all gateways; 0 while the grace lasts
	Gateways    int       // that have one of them
}

// Roster is the whole of it. Its methods are safe for concurrent use.
type Roster struct {
	o Options

	mu      sync.Mutex
	me      *peer
	peers   map[string]*peer // the others that are alive
	entries map[Person]*entry
	tenants map[string]*tenant
	leaving map[Person]struct{} // entries in their grace
	changed map[Person]struct{} // my seats, since the last roll
	news    []change            // to be announced by whoever is to
	recent  []change            // of the business of others, as long as they may turn out dead
	settled bool                // we take part in announcing

	kick chan struct{}
	in   chan *nats.Msg
}

// peer is a gateway.
type peer struct {
	id       string
	heard    time.Time
	settled  bool   // it takes part in announcing
	known    bool   // all its seats are here, as of seq
	seq      uint64 // of its last roll
	asked    time.Time
	part     uint32 // of an answer, the last that came
	round    uint32 // of answers; a seat that is not in the newest is empty
	seats    int    // not empty
	byTenant map[string]int
}

// entry is a person who is online, or in grace.
type entry struct {
	since time.Time
	seats []seat    // not empty ones, one per gateway
	gone  time.Time // when the last one was seen; zero while there is one
	told  bool      // that he is online
}

type seat struct {
	at          *peer
	connections uint32
	round       uint32
}

// tenant is what is counted for one.
type tenant struct {
	online int
	sort   sync.Mutex // held while names are sorted; taken before the roster's
	names  []string   // sorted, as of the last look; stale if it may be wrong
	stale  bool
	looked time.Time
}

// New makes a roster with nobody in it. Run makes it live.
func New(o Options) *Roster {
	return &Roster{
		o: o, me: newPeer(o.Gateway), peers: map[string]*peer{}, entries: map[Person]*entry{}, tenants: map[string]*tenant{},
		leaving: map[Person]struct{}{}, changed: map[Person]struct{}{},
		kick: make(chan struct{}, 1), in: make(chan *nats.Msg, 4096),
	}
}

func newPeer(id string) *peer { return &peer{id: id, byTenant: map[string]int{}} }

// Enter counts one more connection of a person here.
func (r *Roster) Enter(p Person) { r.count(p, +1) }

// Leave counts one connection less.
func (r *Roster) Leave(p Person) { r.count(p, -1) }

func (r *Roster) count(p Person, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	n := by
	if e := r.entries[p]; e != nil {
		n += int(e.at(r.me))
	}
	r.seat(p, r.me, uint32(max(n, 0)), now, now)
	r.changed[p] = struct{}{}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// at is how many connections the entry has at a gateway.
func (e *entry) at(g *peer) uint32 {
	for _, s := range e.seats {
		if s.at == g {
			return s.connections
		}
	}
	return 0
}

// Get is one person's presence.
func (r *Roster) Get(p Person) Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[p]
	if e == nil {
		return Presence{}
	}
	return e.presence()
}

func (e *entry) presence() Presence {
	a := Presence{Online: true, Since: e.since, Gateways: len(e.seats)}
	for _, s := range e.seats {
		a.Connections += int(s.connections)
	}
	return a
}

// Gateways is at how many gateways somebody is connected: the person; with User ""
// anybody of the tenant; with neither, anybody.
func (r *Roster) Gateways(p Person) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.User != "" {
		if e := r.entries[p]; e != nil {
			n = len(e.seats)
		}
		return n
	}
	here := func(g *peer) {
		if p.Tenant == "" && g.seats > 0 || g.byTenant[p.Tenant] > 0 {
			n++
		}
	}
	here(r.me)
	for _, g := range r.peers {
		here(g)
	}
	return n
}

// Peers is how many other gateways are alive.
func (r *Roster) Peers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.peers)
}

// Online is how many persons are, in all tenants.
func (r *Roster) Online() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}
