package auth

import (
	"context"
	"crypto/hmac"
	"net/http"
	"net/textproto"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Guard stands at every door: it turns what a request carries, a token or a
// signature, into who is calling. It is a Verifier, too. Safe for concurrent
// use.
type Guard struct{ o GuardOptions }

// GuardOptions says what a Guard takes.
type GuardOptions struct {
	Tokens      Verifier         // required
	Keys        HMACKeys         // of signed requests; nil = signatures are refused
	Nonces      *Nonces          // required with Keys
	Window      time.Duration    // how far the time of a signed request may be from ours; default DefaultWindow
	Revocations *Revocations     // what was taken back; nil = nothing
	Now         func() time.Time // default time.Now
}

// NewGuard puts the parts together.
func NewGuard(o GuardOptions) *Guard {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	return &Guard{o: o}
}

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
// its body, which counts once. The body matters to a signature only, see Signed.
// Codes token_missing, token_invalid, token_expired, token_revoked,
// signature_invalid, nonce_replayed, unavailable.
func (g *Guard) HTTP(r *http.Request, body []byte, allowQuery bool) (*Principal, error) {
	if len(r.Header.Values("Authorization")) > 1 { // whoever stands before us may have looked at the other one
		return nil, fault.New(fault.TokenInvalid, "header Authorization: must be there once")
	}
	if text, ok := signatureOf(r.Header.Get("Authorization")); ok {
		return g.signed(r.Context(), text, r.Method, r.URL.RequestURI(), r.Header, body)
	}
	token, err := FromRequest(r, allowQuery)
	if err != nil {
		return nil, err
	}
	return g.Verify(r.Context(), token)
}

// NATS says who sends a request on a subject, by the header Authorization, as
// HTTP does. Codes as of HTTP.
func (g *Guard) NATS(ctx context.Context, subj string, h nats.Header, body []byte) (*Principal, error) {
	var value string
	n := 0
	for name, values := range h { // NATS keeps the case of names
		if textproto.CanonicalMIMEHeaderKey(name) == "Authorization" && len(values) > 0 {
			value, n = values[0], n+len(values)
		}
	}
	switch {
	case n == 0:
		return nil, fault.New(fault.TokenMissing, "a token is required: header Authorization: Bearer <token>")
	case n > 1:
		return nil, fault.New(fault.TokenInvalid, "header Authorization: must be there once")
	}
	if text, ok := signatureOf(value); ok {
		return g.signed(ctx, text, overNATS, subj, h, body)
	}
	token, err := FromHeader(value)
	if err != nil {
		return nil, err
	}
	return g.Verify(ctx, token)
}

// signed checks a signature. The nonce is taken last, when everything else is
// right: who has no key can neither fill the store nor use up another's nonce.
func (g *Guard) signed(ctx context.Context, text, method, target string, headers map[string][]string, body []byte) (*Principal, error) {
	if g.o.Keys == nil || g.o.Nonces == nil {
		return nil, fault.New(fault.SignatureInvalid, "signature: signed requests are not taken here; show a token")
	}
	s, err := parseSignature(text)
	if err != nil {
		return nil, err
	}
	now := g.o.Now()
	if off := now.Sub(s.time).Abs(); off > g.o.Window {
		return nil, fault.New(fault.SignatureInvalid, "signature: its time is %s from ours, the most is %s; set the clock right", off.Round(time.Second), g.o.Window)
	}
	// An id that is not ours costs the same as one that is.
	key, known := g.o.Keys.HMACKey(s.key)
	if !hmac.Equal(s.over(key.Secret, method, target, headers, body), s.mac) || !known {
		return nil, fault.New(fault.SignatureInvalid, "signature: is not one of ours for this request and body")
	}
	p := &Principal{
		Issuer: SignatureIssuer, Subject: key.Subject, Tenants: key.Tenants, Grants: key.Grants,
		Issued: s.time, Expires: s.time.Add(g.o.Window),
	}
	if err := g.o.Revocations.Check(p); err != nil {
		return nil, err
	}
	// The request would be in time again on a replica whose clock is behind: as
	// long as that can be, and a minute more, the nonce is kept.
	if err := g.o.Nonces.take(ctx, s.key, s.nonce, s.time.Add(2*g.o.Window).Sub(now)+time.Minute); err != nil {
		return nil, err
	}
	return p, nil
}

// Revoked is nil while the principal of an open connection may go on; code
// token_revoked.
func (g *Guard) Revoked(p *Principal) error { return g.o.Revocations.Check(p) }

// Changed is closed when something is revoked after the call; see
// Revocations.Changed. It never is without revocations.
func (g *Guard) Changed() <-chan struct{} { return g.o.Revocations.Changed() }
