package auth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

var (
	now      = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	secret   = bytes.Repeat([]byte("s"), auth.MinSecret)
	older    = bytes.Repeat([]byte("o"), auth.MinSecret)
	everyone = auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour}
)

func newHS256(t testing.TB, change ...func(*auth.HS256Options)) *auth.HS256 {
	t.Helper()
	o := auth.HS256Options{Secrets: [][]byte{secret}, Now: func() time.Time { return now }}
	for _, c := range change {
		c(&o)
	}
	h, err := auth.NewHS256(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sign(t testing.TB, s auth.Signer, c auth.Claims) string {
	t.Helper()
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// raw signs any claims at all, as a foreign issuer with our secret may.
func raw(t testing.TB, method jwt.SigningMethod, key any, claims map[string]any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, jwt.MapClaims(claims)).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignThenVerify(t *testing.T) {
	t.Parallel()
	h := newHS256(t, func(o *auth.HS256Options) { o.Issuer, o.Audience = "belfry", "erp" })
	p, err := h.Verify(t.Context(), sign(t, h, everyone))
	if err != nil {
		t.Fatal(err)
	}
	if p.TokenID == "" {
		t.Error("the token has no id, so it could not be revoked")
	}
	p.TokenID = ""
	want := &auth.Principal{
		Issuer: "belfry", Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(),
		Issued: now.Local(), Expires: now.Add(time.Hour).Local(),
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	in, ago := now.Add(time.Hour).Unix(), now.Add(-time.Second).Unix()
	valid := map[string]any{"sub": "anna", "exp": in, "tenants": []string{"AA"}, "grants": []string{"mailbox"}}
	with := func(key string, value any) string {
		claims := map[string]any{key: value}
		for k, v := range valid {
			if _, ok := claims[k]; !ok {
				claims[k] = v
			}
		}
		if value == nil {
			delete(claims, key)
		}
		return raw(t, jwt.SigningMethodHS256, secret, claims)
	}
	good := raw(t, jwt.SigningMethodHS256, secret, valid)
	head, rest, _ := strings.Cut(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, c := range []struct {
		name, token string
		code        fault.Code
		says        string
	}{
		{"empty", "", fault.TokenInvalid, "is not a JWT"},
		{"not a token", "hello", fault.TokenInvalid, "is not a JWT"},
		{"two parts", head + "." + rest[:10], fault.TokenInvalid, "is not a JWT"},
		{"too long", strings.Repeat("x", auth.MaxToken+1), fault.TokenInvalid, "above the maximum"},
		{"algorithm none", none + "." + strings.Split(rest, ".")[0] + ".", fault.TokenInvalid, "signature"},
		{"algorithm HS512", raw(t, jwt.SigningMethodHS512, secret, valid), fault.TokenInvalid, "signature"},
		{"another secret", raw(t, jwt.SigningMethodHS256, older, valid), fault.TokenInvalid, "signature"},
		{"a changed payload", head + "." + strings.Replace(rest, "e", "f", 1), fault.TokenInvalid, "token: "},
		{"expired", with("exp", ago), fault.TokenExpired, "has expired"},
		{"without exp", with("exp", nil), fault.TokenInvalid, "exp is required"},
		{"exp is text", with("exp", "tomorrow"), fault.TokenInvalid, "is not a JWT"},
		{"not yet", with("nbf", in), fault.TokenInvalid, "not valid yet"},
		{"without sub", with("sub", nil), fault.TokenInvalid, "claim sub: must not be empty"},
		{"long sub", with("sub", strings.Repeat("a", 256)), fault.TokenInvalid, "claim sub: 256 bytes"},
		{"tenant _", with("tenants", []string{"_"}), fault.TokenInvalid, "claim tenants"},
		{"tenant *", with("tenants", []string{"*"}), fault.TokenInvalid, "claim tenants"},
		{"tenants is text", with("tenants", "AA"), fault.TokenInvalid, "is not a JWT"},
		{"a grant misspelt", with("grants", []string{"subscibe:*"}), fault.TokenInvalid, `claim grants: grant: "subscibe:*": unknown action`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := newHS256(t).Verify(t.Context(), c.token)
			if p != nil || fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%s), want %s %q", err, fault.CodeOf(err), c.code, c.says)
			}
		})
	}
	if _, err := newHS256(t).Verify(t.Context(), good); err != nil {
		t.Errorf("the token all these are made from: %v", err)
	}
}

func TestVerifyOptions(t *testing.T) {
	t.Parallel()
	rotated := newHS256(t, func(o *auth.HS256Options) { o.Secrets = [][]byte{secret, older} })
	before := newHS256(t, func(o *auth.HS256Options) { o.Secrets = [][]byte{older} })
	if _, err := rotated.Verify(t.Context(), sign(t, before, everyone)); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
	if _, err := before.Verify(t.Context(), sign(t, rotated, everyone)); err == nil {
		t.Error("the new secret does not sign")
	}
	later := func(d time.Duration) func(*auth.HS256Options) {
		return func(o *auth.HS256Options) {
			o.Skew, o.Now = 5*time.Second, func() time.Time { return now.Add(time.Hour + d) }
		}
	}
	token := sign(t, before, everyone)
	old := func(o *auth.HS256Options) { o.Secrets = [][]byte{older} }
	if _, err := newHS256(t, old, later(4*time.Second)).Verify(t.Context(), token); err != nil {
		t.Errorf("expired for less than the skew: %v", err)
	}
	if _, err := newHS256(t, old, later(6*time.Second)).Verify(t.Context(), token); fault.CodeOf(err) != fault.TokenExpired {
		t.Errorf("expired for more than the skew: %v", err)
	}
	for field, change := range map[string]func(*auth.HS256Options){
		"iss": func(o *auth.HS256Options) { o.Secrets, o.Issuer = [][]byte{older}, "idp" },
		"aud": func(o *auth.HS256Options) { o.Secrets, o.Audience = [][]byte{older}, "erp" },
	} {
		if _, err := newHS256(t, change).Verify(t.Context(), token); fault.CodeOf(err) != fault.TokenInvalid || !strings.Contains(err.Error(), "claim") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestBadSecretsAndClaims(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][][]byte{nil, {[]byte("short")}, {secret, nil}} {
		if _, err := auth.NewHS256(auth.HS256Options{Secrets: secrets}); fault.CodeOf(err) != fault.InvalidConfig {
			t.Errorf("%q: %v", secrets, err)
		}
	}
	for name, c := range map[string]auth.Claims{
		"no user": {TTL: time.Hour},
		"no ttl":  {Subject: "anna"},
		"tenant":  {Subject: "anna", TTL: time.Hour, Tenants: []string{""}},
	} {
		if _, err := newHS256(t).Sign(c); fault.CodeOf(err) == "" {
			t.Errorf("%s: signed", name)
		}
	}
}

// Whatever comes in: a principal that Decide can work with, or a refusal with one
// of two codes; and never a principal without our signature.
func FuzzVerify(f *testing.F) {
	h := newHS256(f)
	// Not by Sign: the workers of a fuzz run are processes, and its ids are random.
	good := raw(f, jwt.SigningMethodHS256, secret, map[string]any{"sub": "anna", "exp": now.Add(time.Hour).Unix()})
	f.Add(good)
	f.Add(good[:len(good)-1] + "A")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := h.Verify(t.Context(), token)
		if code := fault.CodeOf(err); err != nil && code != fault.TokenInvalid && code != fault.TokenExpired {
			t.Fatalf("code %s", code)
		}
		if p != nil && token != good {
			t.Fatalf("verified %q", token)
		}
	})
}

// The claims themselves, below a signature that is right.
func FuzzClaims(f *testing.F) {
	h := newHS256(f)
	f.Add([]byte(`{"sub":"a","exp":9999999999,"tenants":["AA"],"grants":["subscribe:*"]}`))
	f.Add([]byte(`{"sub":"a","exp":1e400}`))
	f.Add([]byte(`{"grants":null,"tenants":[null],"exp":-1,"sub":1}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		var any map[string]any
		if json.Unmarshal(claims, &any) != nil {
			return
		}
		p, err := h.Verify(t.Context(), raw(t, jwt.SigningMethodHS256, secret, any))
		if (p == nil) == (err == nil) {
			t.Fatalf("%v %v", p, err)
		}
		if p != nil && (p.Subject == "" || p.Expires.IsZero()) {
			t.Fatalf("%+v", p)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := newHS256(b)
	token := sign(b, h, everyone)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := &auth.Principal{Tenants: []string{"AA"}}
	for i := range 20 {
		g, _ := auth.ParseGrant(fmt.Sprintf("subscribe:topic%d", i))
		p.Grants = append(p.Grants, g)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decide(auth.Request{Action: auth.Subscribe, Tenant: "AA", Topic: "topic19"}); err != nil {
			b.Fatal(err)
		}
	}
}
