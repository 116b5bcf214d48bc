package gateway

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// A token on an open connection (GW5). It is replaced in place, so that nobody has
// to reconnect every hour:
//
//	30 s before its end   {"expiring":{"seconds":30}}
//	{"token":{…}} ───────▶ the same user? ──▶ what it no longer grants is ended, one
//	                                          {"ended":{…}} each ──▶ {"renewed":{…}}
//	at its end            close token_expired

// renew answers a token frame. A token that is refused changes nothing.
func (n *session) renew(t *gatewayv1.Token) (*gatewayv1.ServerFrame, error) {
	n.settle()
	p, err := n.s.guard.Verify(n.ctx, t.GetAccessToken())
	if err == nil && p.Key() != n.c.principal.Key() {
		err = fault.Field(fault.TokenInvalid, "token", "is of another user than the connection's")
	}
	if err != nil {
		n.s.record(n.ctx, n.c, api.Entry{What: "token", Code: fault.CodeOf(err)})
		return nil, err
	}
	kept, ended := n.s.regrant(n.c, p)
	if err := n.s.renew(n.ctx, n.c, p, kept, ended); err != nil {
		return nil, err
	}
	for f, why := range ended {
		e := fault.From(why)
		n.send(&gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Ended{Ended: &gatewayv1.Ended{
			Subscription: &gatewayv1.Subscription{Tenant: f.tenant, Topic: f.topic, Verb: f.verb, Name: f.name},
			Error:        &gatewayv1.Error{Code: string(e.Code()), Message: e.Error(), Details: e.Details()},
		}}})
	}
	return &gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Renewed{Renewed: &gatewayv1.Renewed{
		Seconds: uint32(min(max(time.Until(p.Expires).Seconds(), 0), math.MaxUint32)),
	}}}, nil
}

// regrant says which subscriptions a principal may go on with, and what each of
// them means now: one that names no topic means what is granted.
func (s *Service) regrant(c *connection, p *auth.Principal) (kept map[filter][]key, ended map[filter]error) {
	kept, ended = map[filter][]key{}, map[filter]error{}
	for _, f := range s.hub.filters(c) {
		keys, err := f.keys(p)
		if err != nil {
			ended[f] = err
			continue
		}
		kept[f] = keys
	}
	return kept, ended
}

// renew puts a principal in the place of a connection's, and its subscriptions in
// the place of those it had, in one step between two events.
func (s *Service) renew(ctx context.Context, c *connection, p *auth.Principal, kept map[filter][]key, ended map[filter]error) error {
	var tokens []string
	for _, keys := range kept {
		acquired, err := s.acquireAll(ctx, keys)
		if err != nil {
			s.feed.release(tokens...)
			return err
		}
		tokens = append(tokens, acquired...)
	}
	before := c.principal
	s.feed.release(s.hub.renew(c, p, kept, ended)...)
	s.wheel.renew(c, p.Expires.Unix())
	s.crowd.renew(c, p)
	s.stats.moved(before, p)
	if s.guard.Revoked(p) != nil { // since it was verified
		c.shut(fault.TokenRevoked)
	}
	return nil
}

// renew is Service.renew's one step. The answer is as of leave.
func (h *hub) renew(c *connection, p *auth.Principal, kept map[filter][]key, ended map[filter]error) (released []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f, keys := range kept {
		released = append(released, h.drop(c, f)...)
		// What each feed has brought so far was routed by the old subscriptions.
		h.insert(c, f, keys, 0)
		for _, s := range c.subs[len(c.subs)-1].subs {
			s.from = h.tenants[s.key.tenant].pos
		}
	}
	for f := range ended {
		released = append(released, h.drop(c, f)...)
	}
	h.census.leave(c.principal)
	h.census.count(p, 1) // it is there already, so no limit applies
	c.mu.Lock()
	defer c.mu.Unlock()
	c.principal = p
	return released
}

// who is whose connection it is, for those who are neither its reader nor hold the
// hub's lock: it changes when the token is renewed.
func (c *connection) who() *auth.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.principal
}

// expiring is the warning that a token will soon have had its time; nil where the
// protocol has none.
func expiring(p protocol, left time.Duration) *item {
	seconds := strconv.Itoa(int(max(left, 0).Round(time.Second).Seconds()))
	switch p {
	case plain:
		return &item{body: []byte(`{"expiring":{"seconds":` + seconds + "}}\n")}
	case sse:
		return &item{body: []byte("event: expiring\ndata: {\"seconds\":" + seconds + "}\n\n")}
	}
	return nil
}

// moved counts a connection under its new tenants.
func (m *metrics) moved(from, to *auth.Principal) {
	if !slices.Equal(from.Tenants, to.Tenants) {
		m.ofTenants.WithLabelValues(m.tenants.of(from)).Dec()
		m.ofTenants.WithLabelValues(m.tenants.of(to)).Inc()
	}
}
