package auth

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

const (
	// MaxToken is the longest token looked at, in bytes; HTTP servers commonly
	// stop at 8 KiB per header as well.
	MaxToken = 8 << 10
	// MinSecret is the shortest HS256 secret, in bytes (RFC 7518 §3.2: not
	// shorter than the hash).
	MinSecret = 32
)

// Verifier turns a token into who is calling. Codes token_invalid,
// token_expired; unavailable when keys are kept elsewhere and cannot be had.
// Safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Principal, error)
}

// Signer makes tokens. Safe for concurrent use.
type Signer interface {
	Sign(Claims) (string, error)
}

// HS256Options configures NewHS256.
type HS256Options struct {
	Secrets  [][]byte         // the first signs, all verify (rotation); at least MinSecret bytes each
	Issuer   string           // claim iss that is required, and set by Sign; "" = any, none
	Audience string           // claim aud that is required, and set by Sign; "" = any, none
	Skew     time.Duration    // how far clocks may differ; 0 = not at all
	Now      func() time.Time // default time.Now
}

// HS256 verifies and signs tokens with shared secrets.
type HS256 struct {
	o      HS256Options
	keys   jwt.VerificationKeySet
	parser *jwt.Parser
}

// wire is the claims as JSON. The lists are checked after the signature, so
// that their errors can say what is wrong to somebody we know.
type wire struct {
	jwt.RegisteredClaims
	Tenants []string `json:"tenants,omitempty"`
	Grants  []string `json:"grants,omitempty"`
}

// NewHS256 checks the secrets. Code invalid_config, field auth.secret.
func NewHS256(o HS256Options) (*HS256, error) {
	if len(o.Secrets) == 0 {
		return nil, fault.Field(fault.InvalidConfig, "auth.secret", "is needed to verify tokens")
	}
	h := &HS256{o: o}
	for _, s := range o.Secrets {
		if len(s) < MinSecret {
			return nil, fault.Field(fault.InvalidConfig, "auth.secret", "%d bytes are below the minimum of %d", len(s), MinSecret)
		}
		h.keys.Keys = append(h.keys.Keys, s)
	}
	if h.o.Now == nil {
		h.o.Now = time.Now
	}
	// Only HS256: a token that names another algorithm, or none, is refused
	// before any key is tried.
	opts := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(),
		jwt.WithLeeway(o.Skew), jwt.WithTimeFunc(h.o.Now),
	}
	if o.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		opts = append(opts, jwt.WithAudience(o.Audience))
	}
	h.parser = jwt.NewParser(opts...)
	return h, nil
}

// Verify implements Verifier. It costs about 15 µs, once per connection or call.
func (h *HS256) Verify(_ context.Context, token string) (*Principal, error) {
	if len(token) > MaxToken {
		return nil, fault.New(fault.TokenInvalid, "token: %d bytes are above the maximum of %d", len(token), MaxToken)
	}
	var c wire
	if _, err := h.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return h.keys, nil }); err != nil {
		return nil, refuse(err)
	}
	p, err := c.principal()
	if err != nil {
		return nil, err
	}
	p.Expires = p.Expires.Add(h.o.Skew)
	return p, nil
}

// refusals words what the library says; its own texts carry what was sent.
var refusals = []struct {
	err  error
	code fault.Code
	text string
}{
	{jwt.ErrTokenMalformed, fault.TokenInvalid, "token: is not a JWT"},
	{jwt.ErrTokenSignatureInvalid, fault.TokenInvalid, "token: the signature is not one of ours (HS256)"},
	{jwt.ErrTokenExpired, fault.TokenExpired, "token: has expired"},
	{jwt.ErrTokenNotValidYet, fault.TokenInvalid, "token: is not valid yet"},
	{jwt.ErrTokenInvalidIssuer, fault.TokenInvalid, "token: claim iss is not the issuer we accept"},
	{jwt.ErrTokenInvalidAudience, fault.TokenInvalid, "token: claim aud does not name us"},
	{jwt.ErrTokenRequiredClaimMissing, fault.TokenInvalid, "token: claim exp is required"},
}

func refuse(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return fault.Wrap(r.code, err, "%s", r.text)
		}
	}
	return fault.Wrap(fault.TokenInvalid, err, "token: is not valid")
}

func (c *wire) principal() (*Principal, error) {
	if _, err := subject.Escape("sub", c.Subject); err != nil {
		return nil, fault.Wrap(fault.TokenInvalid, err, "token: claim %s", err)
	}
	for _, t := range c.Tenants {
		if err := subject.CheckTenant(t); err != nil {
			return nil, fault.Wrap(fault.TokenInvalid, err, "token: claim tenants: %s", err)
		}
	}
	gs, err := ParseGrants(c.Grants)
	if err != nil {
		return nil, fault.Wrap(fault.TokenInvalid, err, "token: claim grants: %s", err)
	}
	return &Principal{
		Issuer: c.Issuer, Subject: c.Subject, TokenID: c.ID,
		Tenants: c.Tenants, Grants: gs, Expires: c.ExpiresAt.Time,
	}, nil
}
