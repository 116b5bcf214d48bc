package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ecJWK(t testing.TB, id string, k *ecdsa.PublicKey) map[string]any {
	t.Helper()
	point, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": id, "x": b64(point[1:33]), "y": b64(point[33:])}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	ring := keyringOf()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ring.rsa2.PublicKey, ring.rsa2)
	if err != nil {
		t.Fatal(err)
	}
	ed, ok := ring.ed.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no Ed25519 key")
	}
	keys, err := auth.ReadKeys([]string{
		write(t, "2026-11.pem", string(pemOf(t, &ring.rsa.PublicKey))),
		write(t, "cert.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "old.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&ring.stranger.PublicKey)}))),
		write(t, "partner.json", asJSON(t, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(ed)})),
		write(t, "shared.json", asJSON(t, map[string]any{"kty": "oct", "kid": "shared", "k": b64(secret)})),
		write(t, "set.json", jwksOf(t, ecJWK(t, "ec-7", &ring.ec.PublicKey), map[string]any{"kty": "EC", "crv": "P-521"})),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, k.ID+" "+k.Alg)
	}
	if d := cmp.Diff([]string{"2026-11 RS256", "cert RS256", "old RS256", "partner EdDSA", "shared HS256", "ec-7 ES256"}, got); d != "" {
		t.Fatal(d)
	}
	tokens := auth.NewTokens(auth.TokensOptions{Keys: keys, Now: func() time.Time { return now }})
	for id, text := range map[string]string{
		"2026-11": token(t, jwt.SigningMethodRS256, ring.rsa, kid("2026-11"), nil),
		"cert":    token(t, jwt.SigningMethodRS256, ring.rsa2, kid("cert"), nil),
		"old":     token(t, jwt.SigningMethodRS256, ring.stranger, kid("old"), nil),
		"partner": token(t, jwt.SigningMethodEdDSA, ring.ed, kid("partner"), nil),
		"shared":  token(t, jwt.SigningMethodHS256, secret, kid("shared"), nil),
		"ec-7":    token(t, jwt.SigningMethodES256, ring.ec, kid("ec-7"), nil),
	} {
		if _, err := tokens.Verify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestReadKeysRefuses(t *testing.T) {
	t.Parallel()
	ring := keyringOf()
	private, err := x509.MarshalPKCS8PrivateKey(ring.ec)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pemOf(t, &ring.ec.PublicKey))
	short := rsaJWK("x", &ring.rsa.PublicKey)
	short["n"] = b64(ring.rsa.N.Bytes()[:128])
	with := func(k map[string]any, name string, value any) string { k[name] = value; return asJSON(t, k) }
	for name, c := range map[string]struct{ text, says string }{
		"nothing":        {"", "neither PEM nor JSON"},
		"text":           {"hello", "neither PEM nor JSON"},
		"a private key":  {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "its public half"},
		"two keys":       {public + public, "more than one key"},
		"other PEM":      {string(pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: []byte("x")})), "not a public key"},
		"P-384":          {string(pemOf(t, &p384.PublicKey)), "not on the curve P-256"},
		"no key inside":  {`{"kty":"RSA"}`, "no RSA modulus"},
		"a private JWK":  {with(ecJWK(t, "x", &ring.ec.PublicKey), "d", "AAAA"), "its public half"},
		"for encryption": {with(ecJWK(t, "x", &ring.ec.PublicKey), "use", "enc"), "not for signatures"},
		"to sign":        {with(ecJWK(t, "x", &ring.ec.PublicKey), "key_ops", []string{"sign"}), "not for signatures"},
		"other alg":      {with(rsaJWK("x", &ring.rsa.PublicKey), "alg", "PS256"), "which we do not take"},
		"no point":       {with(ecJWK(t, "x", &ring.ec.PublicKey), "x", b64(make([]byte, 32))), "no point"},
		"short RSA":      {asJSON(t, short), "outside 2048 to 8192"},
		"even exponent":  {with(rsaJWK("x", &ring.rsa.PublicKey), "e", b64([]byte{2})), "exponent"},
		"huge exponent":  {with(rsaJWK("x", &ring.rsa.PublicKey), "e", b64(make([]byte, 9))), "exponent"},
		"padding":        {with(rsaJWK("x", &ring.rsa.PublicKey), "n", "AAA="), "RSA"},
		"short secret":   {`{"kty":"oct","kid":"x","k":"AAAA"}`, "below the minimum of 32"},
		"kind":           {`{"kty":"EC","crv":"secp256k1"}`, "secp256k1"},
		"an empty set":   {`{"keys":[]}`, "none that can be used"},
		"a set of text":  {`{"keys":"x"}`, "key set"},
	} {
		_, err := auth.ReadKeys([]string{write(t, "k", c.text)})
		if fault.CodeOf(err) != fault.InvalidConfig || !strings.Contains(err.Error(), c.says) || fault.From(err).Details()["field"] != "auth.keys" {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	one := write(t, "one.pem", public)
	if _, err := auth.ReadKeys([]string{one, one}); fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("a key twice: %v", err)
	}
	if _, err := auth.ReadKeys([]string{"/no/such"}); fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("no file: %v", err)
	}
}

// Whatever an issuer or an operator writes, a key that comes out can be used for
// its own algorithm only.
func FuzzReadKeys(f *testing.F) {
	ring := keyringOf()
	f.Add(asJSON(f, rsaJWK("a", &ring.rsa.PublicKey)))
	f.Add(asJSON(f, ecJWK(f, "a", &ring.ec.PublicKey)))
	f.Add(`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`)
	f.Add(string(pemOf(f, &ring.ec.PublicKey)))
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := auth.ReadKeys([]string{write(t, "k.json", text)})
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%v %v", keys, err)
		}
		if err != nil && fault.CodeOf(err) != fault.InvalidConfig {
			t.Fatalf("code %s", fault.CodeOf(err))
		}
		tokens := auth.NewTokens(auth.TokensOptions{Keys: keys, Now: func() time.Time { return now }})
		for _, k := range keys {
			if _, err := tokens.Verify(t.Context(), token(t, jwt.SigningMethodHS256, []byte(text), kid(k.ID), nil)); err == nil {
				t.Fatal("the file's text is a secret")
			}
		}
	})
}
