package auth

import (
	"context"
	"net/http"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Guard stands at every door: it turns what a request carries, a token or a
// signature, into who is calling. It is a Verifier, too. Safe for concurrent
// use.
type Guard struct{ o GuardOptions }

// GuardOptions says what a Guard takes.
type GuardOptions struct {
	Tokens      Verifier     // required
	Keys        HMACKeys     // of signed requests; nil = signatures are refused
	Revocations *Revocations // what was taken back; nil = nothing
}

// NewGuard puts the parts together.
func NewGuard(o GuardOptions) *Guard { return &Guard{o: o} }

// Verify implements Verifier: the token is good and has not been taken back.
// Code token_revoked in addition to those of the tokens' own verifier.
func (g *Guard) Verify(ctx context.Context, token string) (*Principal, error) {
	p, err := g.o.Tokens.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := g.o.Revocations.Check(p); err != nil {
		return nil, err
	}
	return p, nil
}

// HTTP says who sends a request: by Authorization: Bearer, by the query
// parameter access_token if allowQuery, or by a signature over the request and
// its body. Codes token_missing, token_invalid, token_expired, token_revoked,
// signature_invalid, nonce_replayed, unavailable.
func (g *Guard) HTTP(r *http.Request, body []byte, allowQuery bool) (*Principal, error) {
	_ = body
	token, err := FromRequest(r, allowQuery)
	if err != nil {
		return nil, err
	}
	return g.Verify(r.Context(), token)
}

// NATS says who sends a request on a subject, by the header Authorization, as
// HTTP does. Codes as of HTTP.
func (g *Guard) NATS(ctx context.Context, subj string, h nats.Header, body []byte) (*Principal, error) {
	_, _ = subj, body
	value := h.Get("Authorization")
	if value == "" {
		return nil, fault.New(fault.TokenMissing, "a token is required: header Authorization: Bearer <token>")
	}
	token, err := FromHeader(value)
	if err != nil {
		return nil, err
	}
	return g.Verify(ctx, token)
}
