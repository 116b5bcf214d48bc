package auth

import (
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Claims is what a new token says.
type Claims struct {
	Subject string        // the user or program; required
	Tenants []string      // where it may act
	Grants  Grants        // what it may do; see Everything
	TTL     time.Duration // how long it is valid; required, whole seconds
}

// Sign makes a token with a fresh id, valid from now for c.TTL. It refuses
// claims that Verify would refuse: invalid_request, or token_invalid naming the
// claim.
func (h *HS256) Sign(c Claims) (string, error) {
	if c.TTL < time.Second {
		return "", fault.Field(fault.InvalidRequest, "ttl", "%s is below the minimum of 1s", c.TTL)
	}
	now := h.o.Now()
	w := wire{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: h.o.Issuer, Subject: c.Subject, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(c.TTL)),
		},
		Tenants: c.Tenants, Grants: c.Grants.Texts(),
	}
	if h.o.Audience != "" {
		w.Audience = jwt.ClaimStrings{h.o.Audience}
	}
	if _, err := w.principal(); err != nil {
		return "", err
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, w).SignedString(h.o.Secrets[0])
}
