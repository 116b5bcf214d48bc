package signalr

import (
	"context"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// registry knows the connections of this replica by their tokens, and for a while
// the tokens of those that have ended: a ticket is good for one connection.
type registry struct {
	mu     sync.Mutex
	work   sync.WaitGroup // what runs for connections
	open   map[string]*Conn
	over   map[string]int64 // token → unix seconds after which its ticket opens nothing any more
	slots  [turn]map[*Conn]struct{}
	next   int
	closed bool
}

func newRegistry() *registry {
	l := &registry{open: map[string]*Conn{}, over: map[string]int64{}}
	for i := range l.slots {
		l.slots[i] = map[*Conn]struct{}{}
	}
	return l
}

// start runs f, which whoever stops the server waits for, unless it stops already.
func (l *registry) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.work.Go(f)
	return true
}

// add makes c known, and counts it as work until its finish. Codes draining,
// connection_in_use.
func (l *registry) add(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errDraining
	}
	if c.token != "" {
		_, open := l.open[c.token]
		if _, over := l.over[c.token]; open || over {
			return errInUse
		}
		l.open[c.token] = c
	}
	l.work.Add(1)
	c.slot = l.next
	l.next = (l.next + 1) % turn
	l.slots[c.slot][c] = struct{}{}
	return nil
}

// forget makes c's token open nothing; the connection itself may go on for a
// moment, to say goodbye.
func (l *registry) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.token] == c {
		delete(l.open, c.token)
		l.over[c.token] = max(c.expires, time.Now().Add(inactive).Unix())
	}
}

// remove also takes c off the clock.
func (l *registry) remove(c *Conn) {
	l.forget(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.slots[c.slot], c)
}

// find answers the connection of a token, or that it had one.
func (l *registry) find(token string) (c *Conn, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, over = l.over[token]
	return l.open[token], over
}

// had says whether a token had a connection, which has ended.
func (l *registry) had(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, over := l.over[token]
	return over
}

// serving says whether newcomers may still come.
func (l *registry) serving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed
}

// at lists one slot of the clock.
func (l *registry) at(tick int) []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := l.slots[tick%turn]
	list := make([]*Conn, 0, len(slot))
	for c := range slot {
		list = append(list, c)
	}
	return list
}

// sweep drops tokens that have run out by now.
func (l *registry) sweep(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, until := range l.over {
		if now > until {
			delete(l.over, token)
		}
	}
}

func (l *registry) all() []*Conn {
	var list []*Conn
	for n := range turn {
		list = append(list, l.at(n)...)
	}
	return list
}

// polls says whether a token is that of a connection that polls.
func (l *registry) polls(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[token]
	return c != nil && c.way == longPoll
}

// close lets nobody in any more, and forgets all tokens, but of those who have to
// come once more to hear that it is over.
func (l *registry) close() []*Conn {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	list := l.all()
	for _, c := range list {
		if c.way != longPoll {
			l.forget(c)
		}
	}
	return list
}

var (
	errDraining = fault.New(fault.Draining, "the hub does not serve any more; come back to another replica")
	errInUse    = fault.New(fault.ConnectionInUse, "id: its connection is open, or was; negotiate again for another one")
)

// look finds the connection that a request names, or the ticket that it may open
// one with. Neither: the error says why. Codes invalid_request,
// connection_forbidden, connection_unknown, connection_elsewhere.
func (s *Server) look(ctx context.Context, token string, who *auth.Principal, asks way) (*Conn, ticket, error) {
	if token == "" {
		return nil, ticket{}, fault.Field(fault.InvalidRequest, "id", "is missing: negotiate, and send the connectionToken as id")
	}
	c, over := s.list.find(token)
	t, ours := s.seal.read(token)
	switch {
	case !ours:
		return nil, t, fault.Field(fault.ConnectionUnknown, "id", "is none of ours: negotiate, and send the connectionToken as it came")
	case t.user != digest(who):
		return nil, t, fault.Field(fault.ConnectionForbidden, "id", "belongs to another user")
	case c != nil:
		return c, t, nil
	case over:
		return nil, t, fault.Field(fault.ConnectionUnknown, "id", "its connection has ended; negotiate again")
	}
	if asks != webSocket || t.stateful { // else there is no request but the first
		// A peer that cannot be asked is no peer: the client is better off with a new
		// connection than with none.
		if owner, err := s.o.Peers.Owner(ctx, t.id()); err == nil && owner != "" {
			return nil, t, fault.Field(fault.ConnectionElsewhere, "id", "its connection is on replica %s: requests with an id must all reach the same one, so balance this path by a hash of the query parameter id", owner).
				With("replica", owner)
		}
	}
	if time.Now().Unix() > t.expires {
		return nil, t, fault.Field(fault.ConnectionUnknown, "id", "its connection has ended, or was not opened within %s; negotiate again", inactive)
	}
	return nil, t, nil
}
