package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// keyring is the private halves that tests sign with, made once: RSA is slow.
type keyring struct {
	rsa, rsa2, stranger *rsa.PrivateKey
	ec                  *ecdsa.PrivateKey
	ed                  ed25519.PrivateKey
}

var keyringOf = sync.OnceValue(func() (k keyring) {
	var errs [5]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsa2, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.stranger, errs[2] = rsa.GenerateKey(rand.Reader, 2048)
	k.ec, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
})

func newKey(t testing.TB, id string, material any) auth.Key {
	t.Helper()
	k, err := auth.NewKey(id, material)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keys are all that the tests' guard knows.
func keys(t testing.TB) []auth.Key {
	t.Helper()
	ring := keyringOf()
	shared, err := auth.SecretKey([][]byte{secret})
	if err != nil {
		t.Fatal(err)
	}
	return []auth.Key{
		newKey(t, "rsa-1", &ring.rsa.PublicKey), newKey(t, "rsa-2", &ring.rsa2.PublicKey),
		newKey(t, "ec-1", &ring.ec.PublicKey), newKey(t, "ed-1", ring.ed.Public()), shared,
	}
}

// claims of a token that is good, changed; nil takes a claim away.
func claims(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "idp", "aud": "belfry", "sub": "anna", "jti": "t-1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"tenants": []string{"AA"}, "grants": []string{"subscribe:*", "publish:invoices"},
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// token signs claims with headers of any kind.
func token(t testing.TB, m jwt.SigningMethod, key any, header, change map[string]any) string {
	t.Helper()
	j := jwt.NewWithClaims(m, claims(change))
	maps.Copy(j.Header, header)
	text, err := j.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func kid(id string) map[string]any { return map[string]any{"kid": id} }

func pemOf(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// rsaJWK is a key as an issuer publishes it.
func rsaJWK(id string, k *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func jwksOf(t testing.TB, keys ...map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// issuer answers requests for its keys, without a socket, and counts them.
type issuer struct {
	mu     sync.Mutex
	answer func() (int, string, error)
	asked  int
}

func (i *issuer) says(status int, body string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = func() (int, string, error) { return status, body, err }
}

func (i *issuer) times() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	status, body, err := i.answer()
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r, Header: http.Header{}}, nil
}

// jwks is a key set of an issuer, running until the test ends.
func jwks(t testing.TB, i *issuer) *auth.JWKS {
	t.Helper()
	j, err := auth.NewJWKS(auth.JWKSOptions{URL: "https://idp.example/keys", HTTP: i})
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	t.Cleanup(func() { _ = j.Close(t.Context()) })
	return j
}

// signers is HMACKeys without a file.
type signers map[string]auth.HMACKey

func (s signers) HMACKey(id string) (auth.HMACKey, bool) { k, ok := s[id]; return k, ok }

var erp = auth.HMACKey{
	ID: "erp-1", Secret: bytes.Repeat([]byte("e"), 32), Subject: "erp", Tenants: []string{"AA"},
	Grants: auth.Grants{{Action: auth.Publish, Topic: "invoices"}},
}

// arena is two replicas on one NATS.
type arena struct {
	t    testing.TB
	nats *bustest.Server
	a, b *auth.Guard
}

func newArena(t testing.TB) *arena {
	t.Helper()
	w := &arena{t: t, nats: bustest.Start(t)}
	replica := func() *auth.Guard {
		return auth.NewGuard(auth.GuardOptions{
			Tokens: auth.NewTokens(auth.TokensOptions{
				Keys: keys(t), Issuer: "idp", Audience: "belfry", Skew: 5 * time.Second, MaxLife: 24 * time.Hour,
				Now: func() time.Time { return now },
			}),
			Keys: signers{erp.ID: erp}, Nonces: auth.NewNonces(w.nats.Bus().JS), Now: func() time.Time { return now },
		})
	}
	w.a, w.b = replica(), replica()
	return w
}

// request is a publish as the erp sends it.
func (w *arena) request(body string) *http.Request {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/v1/events?tenant=AA", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Ce-Id", "17")
	return r
}

// signed is that request with a signature made at a time.
func (w *arena) signed(at time.Time, body string) *http.Request {
	r := w.request(body)
	erp.SignHTTP(r, []byte(body), at)
	return r
}
