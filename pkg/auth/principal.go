package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Principal is a verified caller. Issuer and Subject together are its identity.
// It is not changed after Verify, so connections may share it.
type Principal struct {
	Issuer  string
	Subject string
	TokenID string   // claim jti; may be empty
	Tenants []string // where it may act; compared exactly
	Grants  Grants   // what it may do there
	// Issued is claim iat, or when a request was signed; zero = the token does not
	// say, and counts as old when its user's tokens are revoked.
	Issued time.Time
	// Expires is when the token ceases to be accepted: claim exp, and the skew
	// that is allowed for clocks.
	Expires time.Time
}

// Key is the caller's identity as one text, "issuer subject", the same for all
// of its tokens: limits and logs go by it.
func (p *Principal) Key() string { return p.Issuer + " " + p.Subject }

// Request is a question to Decide.
type Request struct {
	Action Action
	Tenant string // "" = every tenant of the token; Publish and Realtime must name one
	Topic  string // any case; "" = all topics, which only a grant for "*" covers
}

// Decide is the one place that says whether a caller may. nil is yes;
// otherwise token_missing (no principal), tenant_forbidden or grant_missing,
// with what would be needed in the message. It does not look at the clock:
// Verify refuses expired tokens, and an open connection ends with its token.
func (p *Principal) Decide(r Request) error {
	if p == nil {
		return fault.New(fault.TokenMissing, "a token is required")
	}
	if err := p.decideTenant(r); err != nil {
		return err
	}
	if r.Action == Clock {
		return nil
	}
	takes, ok := takesTopic(r.Action)
	if !ok {
		return fault.New(fault.GrantMissing, "nobody may %.32q", string(r.Action))
	}
	need := Grant{Action: r.Action}
	if takes {
		need.Topic = AllTopics
		if r.Topic != "" {
			need.Topic = subject.Fold(r.Topic)
		}
	}
	if !p.Grants.cover(need.Action, need.Topic) {
		return fault.New(fault.GrantMissing, "the token has no grant for %s", need).With("grant", need.String())
	}
	return nil
}

func (p *Principal) decideTenant(r Request) error {
	if r.Tenant != "" {
		if slices.Contains(p.Tenants, r.Tenant) {
			return nil
		}
		return fault.Field(fault.TenantForbidden, "tenant", "%q is not among the token's tenants%s", r.Tenant, p.listTenants())
	}
	switch r.Action {
	case Publish, Realtime: // what is sent goes to one place
		return fault.Field(fault.TenantForbidden, "tenant", "must be named to %s", r.Action)
	case Subscribe:
		if len(p.Tenants) == 0 {
			return fault.Field(fault.TenantForbidden, "tenant", "the token has no tenants")
		}
	}
	return nil
}

func (p *Principal) listTenants() string {
	if n := len(p.Tenants); n == 0 || n > 8 {
		return ""
	}
	return " (" + strings.Join(p.Tenants, ", ") + ")"
}

// Tenant is the tenant a request means: the one it asks for, else the token's
// only one. Code invalid_request, field "tenant", when that is not one; whether
// it is allowed is for Decide to say.
func (p *Principal) Tenant(asked string) (string, error) {
	switch {
	case asked != "":
		return asked, nil
	case len(p.Tenants) == 1:
		return p.Tenants[0], nil
	}
	return "", fault.Field(fault.InvalidRequest, "tenant", "must be named, because the token has %d%s", len(p.Tenants), p.listTenants())
}
