package auth

import (
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/fault"
)

// HS256Options configures NewHS256.
type HS256Options struct {
	Secrets  [][]byte         // the first signs, all verify (rotation); at least MinSecret bytes each
	Issuer   string           // claim iss that is required, and set by Sign; "" = any, none
	Audience string           // claim aud that is required, and set by Sign; "" = any, none
	Skew     time.Duration    // how far clocks may differ; 0 = not at all
	MaxLife  time.Duration    // the longest life of a token; 0 = any
	Now      func() time.Time // default time.Now
}

// HS256 verifies and signs tokens with shared secrets.
type HS256 struct {
	*Tokens
	o HS256Options
}

// NewHS256 checks the secrets. Code invalid_config, field auth.secret.
func NewHS256(o HS256Options) (*HS256, error) {
	key, err := SecretKey(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &HS256{o: o, Tokens: NewTokens(TokensOptions{
		Keys: []Key{key}, Issuer: o.Issuer, Audience: o.Audience, Skew: o.Skew, MaxLife: o.MaxLife, Now: o.Now,
	})}, nil
}

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
	if h.o.MaxLife > 0 && c.TTL > h.o.MaxLife {
		return "", fault.Field(fault.InvalidRequest, "ttl", "%s is above the longest life of a token, %s", c.TTL, h.o.MaxLife)
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
