package gateway

import (
	"strconv"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// census counts the connections of this process, of each user and of each tenant,
// and says who may have one more. It is under the hub's lock.
type census struct {
	limits  connectionLimits
	all     int
	users   map[string]int // by auth.Principal.Key
	tenants map[string]int
}

// connectionLimits are the most connections of this process; 0 = no limit.
type connectionLimits struct{ all, user, tenant int }

// Names of limits in metrics and in details["limit"].
const (
	limitConnections = "connections"
	limitOfUser      = "connections_per_user"
	limitOfTenant    = "connections_per_tenant"
	limitFrames      = "frames"
)

func newCensus(l connectionLimits) census {
	return census{limits: l, users: map[string]int{}, tenants: map[string]int{}}
}

// full says that nobody may have one more. Code at_capacity.
func (n *census) full() error {
	if n.limits.all > 0 && n.all >= n.limits.all {
		return fault.New(fault.AtCapacity, "this replica holds %d connections, its most; come back, to any", n.all).With("limit", limitConnections)
	}
	return nil
}

// enter counts a connection of p, or says why there may not be one more. A refused
// caller who is nobody we know counts for the process only. Codes at_capacity,
// too_many_connections.
func (n *census) enter(p *auth.Principal) error {
	if err := n.full(); err != nil {
		return err
	}
	user := n.limits.user
	if p.Subject != "" && user > 0 && n.users[p.Key()] >= user {
		return tooMany(limitOfUser, "user", user)
	}
	for _, t := range p.Tenants {
		if most := n.limits.tenant; most > 0 && n.tenants[t] >= most {
			return tooMany(limitOfTenant, "tenant", most)
		}
	}
	n.count(p, 1)
	return nil
}

func tooMany(limit, of string, most int) error {
	return fault.New(fault.TooManyConnections, "this %s has %d connections here, its most", of, most).
		With("limit", limit).With("most", strconv.Itoa(most))
}

// leave takes a connection of p back.
func (n *census) leave(p *auth.Principal) { n.count(p, -1) }

func (n *census) count(p *auth.Principal, by int) {
	n.all += by
	if p.Subject != "" {
		tally(n.users, p.Key(), by)
	}
	for _, t := range p.Tenants {
		tally(n.tenants, t, by)
	}
}

// tally keeps no entry for what is not there.
func tally(m map[string]int, key string, by int) {
	if m[key] += by; m[key] <= 0 {
		delete(m, key)
	}
}
