package process_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const hmacKeys = `{"keys":[{"id":"erp-1","secret":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","subject":"erp","tenants":["AA"],"grants":["publish:*"]}]}`

// A process with keys of its operator takes tokens that they have signed, and
// signed requests; not what the secret in its data directory has signed.
func TestKeysOfTheOperator(t *testing.T) {
	t.Parallel()
	c := config(t)
	own, err := c.Tokens()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := own.Sign(auth.Claims{Subject: "anna", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c.Auth.Keys = []string{write(t, "2026.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
	c.Auth.HMACKeysFile = write(t, "hmac.json", []byte(hmacKeys))
	c.Auth.Issuer = "idp"
	svc := &service{}
	start(t, process.Options{Config: c, Embed: embedder, Parts: []process.Part{svc.part("things")}})
	guard := svc.env.Guard

	sign := func(id string) string {
		t.Helper()
		j := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "idp", "sub": "anna", "jti": id, "exp": time.Now().Add(time.Hour).Unix()})
		j.Header["kid"] = "2026"
		text, err := j.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if p, err := guard.Verify(t.Context(), sign("a")); err != nil || p.Key() != "idp anna" {
		t.Errorf("the operator's: %v %v", p, err)
	}
	if _, err := guard.Verify(t.Context(), forged); fault.CodeOf(err) != fault.TokenInvalid {
		t.Errorf("the data directory's: %v", err)
	}
	if _, err := c.Tokens(); fault.CodeOf(err) != fault.InvalidConfig || !strings.Contains(err.Error(), "auth.secret") {
		t.Errorf("a token of ours: %v", err)
	}
	changed := guard.Changed()
	if err := auth.Revoke(t.Context(), svc.env.Bus.JS, auth.Revocation{TokenID: "a"}, c.Auth.MaxLife); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, err := guard.Verify(t.Context(), sign("a")); fault.CodeOf(err) != fault.TokenRevoked {
		t.Errorf("revoked: %v", err)
	}

	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", nil)
	auth.HMACKey{ID: "erp-1", Secret: []byte(strings.Repeat("e", 32))}.SignHTTP(r, nil, time.Now())
	if p, err := guard.HTTP(r, nil, false); err != nil || p.Key() != "hmac erp" {
		t.Errorf("signed: %v %v", p, err)
	}
	if _, err := guard.HTTP(r, nil, false); fault.CodeOf(err) != fault.NonceReplayed {
		t.Errorf("signed, again: %v", err)
	}
}

// An issuer that is away keeps nothing from starting.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Auth.JWKSURL, c.Auth.Audience = "http://127.0.0.1:1/keys", "belfry"
	svc := &service{}
	start(t, process.Options{Config: c, Embed: embedder, Parts: []process.Part{svc.part("things")}})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "anna"}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.env.Guard.Verify(t.Context(), text); fault.CodeOf(err) != fault.Unavailable {
		t.Error(err)
	}
}
