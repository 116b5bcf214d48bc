package auth_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Who must not come in, and what he is told. Each row is one way to try; what is
// good is tried beside it, in TestEveryKindOfKey and TestSignedRequest.
func TestAttacks(t *testing.T) {
	t.Parallel()
	ring := keyringOf()
	public := pemOf(t, &ring.rsa.PublicKey)
	block, _ := pem.Decode(public)
	body := `{"number":"2026-0042"}`
	rs, hs := jwt.SigningMethodRS256, jwt.SigningMethodHS256
	one := kid("rsa-1")
	both := func(a, b map[string]any) map[string]any {
		c := map[string]any{}
		for _, m := range []map[string]any{a, b} {
			maps.Copy(c, m)
		}
		return c
	}
	verify := func(text string) func(*arena) error {
		return func(w *arena) error {
			r := w.request("")
			r.Header.Set("Authorization", "Bearer "+text)
			_, err := w.a.HTTP(r, nil, false)
			return err
		}
	}
	signed := func(change func(*http.Request) string) func(*arena) error {
		return func(w *arena) error {
			r := w.signed(now, body)
			_, err := w.a.HTTP(r, []byte(change(r)), false)
			return err
		}
	}
	header := func(change func(string) string) func(*arena) error {
		return signed(func(r *http.Request) string {
			r.Header.Set("Authorization", change(r.Header.Get("Authorization")))
			return body
		})
	}
	at := func(off time.Duration) func(*arena) error {
		return func(w *arena) error {
			_, err := w.a.HTTP(w.signed(now.Add(off), body), []byte(body), false)
			return err
		}
	}
	from := func(status int, answer string, down error) func(*arena) error {
		return func(w *arena) error {
			i := &issuer{}
			i.says(status, answer, down)
			tokens := auth.NewTokens(auth.TokensOptions{JWKS: jwks(w.t, i), Now: func() time.Time { return now }})
			_, err := tokens.Verify(w.t.Context(), token(w.t, rs, ring.rsa, one, nil))
			return err
		}
	}
	for _, c := range []struct {
		name string
		do   func(*arena) error
		code fault.Code
		says string
	}{
		{"nothing", func(w *arena) error { _, err := w.a.HTTP(w.request(""), nil, true); return err }, fault.TokenMissing, "is required"},
		{"alg none", verify(token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, one, nil)), fault.TokenInvalid, "not one of ours"},
		{"alg of a family we do not take", verify(token(t, jwt.SigningMethodPS256, ring.rsa, one, nil)), fault.TokenInvalid, "not one of ours"},
		{"wrong alg for the key", verify(token(t, rs, ring.rsa, kid("ec-1"), nil)), fault.TokenInvalid, "names no RS256 key"},
		{"another key of the same kind", verify(token(t, rs, ring.rsa2, one, nil)), fault.TokenInvalid, "not one of ours"},
		{"a kid that is not there", verify(token(t, rs, ring.rsa, kid("rsa-9"), nil)), fault.TokenInvalid, "names no RS256 key"},
		{"missing kid among several keys", verify(token(t, rs, ring.rsa, nil, nil)), fault.TokenInvalid, "kid is required"},
		{"kid is a number", verify(token(t, rs, ring.rsa, map[string]any{"kid": 1}, nil)), fault.TokenInvalid, "kid is not text"},
		{"kid is a path", verify(token(t, hs, []byte(""), kid("../../dev/null"), nil)), fault.TokenInvalid, "not one of ours"},
		{"key confusion: the PEM as secret", verify(token(t, hs, public, one, nil)), fault.TokenInvalid, "not one of ours"},
		{"key confusion: the DER as secret", verify(token(t, hs, block.Bytes, one, nil)), fault.TokenInvalid, "not one of ours"},
		{"key confusion: PKCS 1 as secret", verify(token(t, hs, x509.MarshalPKCS1PublicKey(&ring.rsa.PublicKey), nil, nil)), fault.TokenInvalid, "not one of ours"},
		{"key confusion: the modulus as secret", verify(token(t, hs, ring.rsa.N.Bytes(), nil, nil)), fault.TokenInvalid, "not one of ours"},
		{"brings its own key", verify(token(t, rs, ring.stranger, both(one, map[string]any{"jwk": rsaJWK("rsa-1", &ring.stranger.PublicKey)}), nil)), fault.TokenInvalid, "not one of ours"},
		{"names where its key is", verify(token(t, rs, ring.stranger, both(one, map[string]any{"jku": "https://evil.example/keys"}), nil)), fault.TokenInvalid, "not one of ours"},
		{"an extension that must be understood", verify(token(t, rs, ring.rsa, both(one, map[string]any{"crit": []string{"exp"}}), nil)), fault.TokenInvalid, "crit"},
		{"expired by a second", verify(token(t, rs, ring.rsa, one, map[string]any{"exp": now.Add(-6 * time.Second).Unix()})), fault.TokenExpired, "has expired"},
		{"not yet valid", verify(token(t, rs, ring.rsa, one, map[string]any{"nbf": now.Add(6 * time.Second).Unix()})), fault.TokenInvalid, "not valid yet"},
		{"issued by a clock ten minutes ahead", verify(token(t, rs, ring.rsa, one, map[string]any{"iat": now.Add(10 * time.Minute).Unix()})), fault.TokenInvalid, "clock is wrong"},
		{"without an end", verify(token(t, rs, ring.rsa, one, map[string]any{"exp": nil})), fault.TokenInvalid, "exp is required"},
		{"for longer than any token", verify(token(t, rs, ring.rsa, one, map[string]any{"exp": now.Add(25 * time.Hour).Unix()})), fault.TokenInvalid, "longest life"},
		{"huge", verify(token(t, rs, ring.rsa, one, map[string]any{"x": strings.Repeat("x", auth.MaxToken)})), fault.TokenInvalid, "above the maximum"},
		{"an id too long to be revoked", verify(token(t, rs, ring.rsa, one, map[string]any{"jti": strings.Repeat("x", 256)})), fault.TokenInvalid, "claim jti"},
		{"wrong audience", verify(token(t, rs, ring.rsa, one, map[string]any{"aud": "shop"})), fault.TokenInvalid, "claim aud"},
		{"no audience", verify(token(t, rs, ring.rsa, one, map[string]any{"aud": nil})), fault.TokenInvalid, "claim aud is required"},
		{"wrong issuer", verify(token(t, rs, ring.rsa, one, map[string]any{"iss": "idp2"})), fault.TokenInvalid, "claim iss"},
		{"tenant not granted", func(w *arena) error {
			p, err := w.a.Verify(w.t.Context(), token(w.t, rs, ring.rsa, one, nil))
			if err != nil {
				return errors.New("refused before")
			}
			return p.Decide(auth.Request{Action: auth.Publish, Tenant: "BB", Topic: "invoices"})
		}, fault.TenantForbidden, "not among the token's tenants"},
		{"two Authorization headers", func(w *arena) error {
			r := w.request("")
			r.Header.Add("Authorization", "Bearer "+token(w.t, rs, ring.rsa, one, nil))
			r.Header.Add("Authorization", "Bearer x")
			_, err := w.a.HTTP(r, nil, false)
			return err
		}, fault.TokenInvalid, "once"},

		{"signature over another body", signed(func(*http.Request) string { return body + " " }), fault.SignatureInvalid, "not one of ours"},
		{"over no body", signed(func(*http.Request) string { return "" }), fault.SignatureInvalid, "not one of ours"},
		{"over another query", signed(func(r *http.Request) string { r.URL.RawQuery = "tenant=BB"; return body }), fault.SignatureInvalid, "not one of ours"},
		{"over another path", signed(func(r *http.Request) string { r.URL.Path = "/v1/realtime"; return body }), fault.SignatureInvalid, "not one of ours"},
		{"over another method", signed(func(r *http.Request) string { r.Method = http.MethodPut; return body }), fault.SignatureInvalid, "not one of ours"},
		{"over another event's id", signed(func(r *http.Request) string { r.Header.Set("Ce-Id", "18"); return body }), fault.SignatureInvalid, "not one of ours"},
		{"with an attribute more", signed(func(r *http.Request) string { r.Header.Set("Ce-Tenant", "BB"); return body }), fault.SignatureInvalid, "not one of ours"},
		{"with another nonce", header(func(s string) string { return strings.Replace(s, "nonce=", "nonce=A", 1) }), fault.SignatureInvalid, "not one of ours"},
		{"with another key's name", header(func(s string) string { return strings.Replace(s, "erp-1", "erp-2", 1) }), fault.SignatureInvalid, "not one of ours"},
		{"cut short", header(func(s string) string { return s[:len(s)-1] }), fault.SignatureInvalid, "32 bytes"},
		{"said twice", header(func(s string) string { return s + ", key=erp-1" }), fault.SignatureInvalid, "twice"},
		{"with more than it may say", header(func(s string) string { return s + ", scope=all" }), fault.SignatureInvalid, "must be Belfry-HMAC-SHA256"},
		{"clock ten minutes behind", at(-10 * time.Minute), fault.SignatureInvalid, "set the clock right"},
		{"clock ten minutes ahead", at(10 * time.Minute), fault.SignatureInvalid, "set the clock right"},
		{"replayed", func(w *arena) error { return replay(w, w.a) }, fault.NonceReplayed, "came before"},
		{"replayed to the other replica", func(w *arena) error { return replay(w, w.b) }, fault.NonceReplayed, "came before"},
		{"HTTP's signature on NATS", func(w *arena) error {
			r := w.signed(now, body)
			_, err := w.a.NATS(w.t.Context(), "/v1/events?tenant=AA", nats.Header(r.Header), []byte(body))
			return err
		}, fault.SignatureInvalid, "not one of ours"},

		{"JWKS down", from(0, "", errors.New("connection refused")), fault.Unavailable, "cannot be had now"},
		{"JWKS answers an error", from(http.StatusBadGateway, "", nil), fault.Unavailable, "cannot be had now"},
		{"JWKS with garbage", from(http.StatusOK, "<html>login</html>", nil), fault.Unavailable, "cannot be had now"},
		{"JWKS without keys", from(http.StatusOK, `{}`, nil), fault.Unavailable, "cannot be had now"},
		{"JWKS with a secret", from(http.StatusOK, `{"keys":[{"kty":"oct","kid":"rsa-1","k":"`+b64(secret)+`"}]}`, nil), fault.Unavailable, "cannot be had now"},
		{"JWKS without end", from(http.StatusOK, strings.Repeat(" ", 2<<20), nil), fault.Unavailable, "cannot be had now"},
		{"JWKS of somebody else", from(http.StatusOK, jwksOf(t, rsaJWK("rsa-1", &ring.stranger.PublicKey)), nil), fault.TokenInvalid, "not one of ours"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.do(newArena(t))
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%s), want %s: %q", err, fault.CodeOf(err), c.code, c.says)
			}
		})
	}
}

// replay sends a signed request to the first replica, and then again.
func replay(w *arena, again *auth.Guard) error {
	r := w.signed(now, "{}")
	if _, err := w.a.HTTP(r, []byte("{}"), false); err != nil {
		return errors.New("refused the first time: " + err.Error())
	}
	_, err := again.HTTP(r, []byte("{}"), false)
	return err
}

// The same kinds of tokens, made by those who may.
func TestEveryKindOfKey(t *testing.T) {
	t.Parallel()
	ring, w := keyringOf(), newArena(t)
	for name, text := range map[string]string{
		"RS256":               token(t, jwt.SigningMethodRS256, ring.rsa, kid("rsa-1"), nil),
		"RS256, rotated":      token(t, jwt.SigningMethodRS256, ring.rsa2, kid("rsa-2"), nil),
		"ES256":               token(t, jwt.SigningMethodES256, ring.ec, kid("ec-1"), nil),
		"ES256 without kid":   token(t, jwt.SigningMethodES256, ring.ec, nil, nil),
		"EdDSA":               token(t, jwt.SigningMethodEdDSA, ring.ed, kid("ed-1"), nil),
		"EdDSA without kid":   token(t, jwt.SigningMethodEdDSA, ring.ed, nil, nil),
		"HS256":               token(t, jwt.SigningMethodHS256, secret, nil, nil),
		"HS256 with any kid":  token(t, jwt.SigningMethodHS256, secret, kid("x"), nil),
		"expired within skew": token(t, jwt.SigningMethodHS256, secret, nil, map[string]any{"exp": now.Add(-4 * time.Second).Unix()}),
		"one of our audience": token(t, jwt.SigningMethodHS256, secret, nil, map[string]any{"aud": []string{"shop", "belfry"}}),
	} {
		p, err := w.a.NATS(t.Context(), "svc.gateway.Publish", nats.Header{"authorization": {"Bearer " + text}}, nil)
		if err != nil || p.Key() != "idp anna" || !p.Issued.Equal(now) || p.TokenID != "t-1" {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}
