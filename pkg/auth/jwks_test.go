package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// issued is a verifier of an issuer's tokens inside a bubble, where a minute
// takes no time; then one that recognises them.
func issued(t *testing.T, f func(t *testing.T, i *issuer, verify func(kid string) fault.Code)) {
	t.Helper()
	ring := keyringOf() // outside: made once for all
	texts := map[string]string{
		"":      token(t, jwt.SigningMethodRS256, ring.rsa, nil, nil),
		"rsa-1": token(t, jwt.SigningMethodRS256, ring.rsa, kid("rsa-1"), nil),
		"rsa-2": token(t, jwt.SigningMethodRS256, ring.rsa2, kid("rsa-2"), nil),
		"rsa-9": token(t, jwt.SigningMethodRS256, ring.rsa2, kid("rsa-9"), nil),
	}
	for _, with := range []func(*auth.Tokens) auth.Verifier{
		func(t *auth.Tokens) auth.Verifier { return t },
		func(t *auth.Tokens) auth.Verifier { return auth.NewCached(t) },
	} {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{}
			i.says(http.StatusOK, jwksOf(t, rsaJWK("rsa-1", &ring.rsa.PublicKey)), nil)
			j, err := auth.NewJWKS(auth.JWKSOptions{URL: "https://idp.example/keys", HTTP: i})
			if err != nil {
				t.Fatal(err)
			}
			tokens := with(auth.NewTokens(auth.TokensOptions{JWKS: j, Now: func() time.Time { return now }}))
			j.Start()
			f(t, i, func(id string) fault.Code {
				_, err := tokens.Verify(t.Context(), texts[id])
				return fault.CodeOf(err)
			})
			if err := j.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// wants checks one answer; "" is accepted.
func wants(t *testing.T, what string, got, want fault.Code) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestJWKSIsCachedAndRefreshed(t *testing.T) {
	t.Parallel()
	issued(t, func(t *testing.T, i *issuer, verify func(string) fault.Code) {
		for range 100 {
			wants(t, "a known key", verify("rsa-1"), "")
			wants(t, "the only key", verify(""), "")
		}
		if n := i.times(); n != 1 {
			t.Errorf("the issuer was asked %d times", n)
		}

		// A new key, and a token of it, before the next refresh.
		ring := keyringOf()
		i.says(http.StatusOK, jwksOf(t, rsaJWK("rsa-1", &ring.rsa.PublicKey), rsaJWK("rsa-2", &ring.rsa2.PublicKey)), nil)
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		wants(t, "a new key at once", verify("rsa-2"), "")
		wants(t, "no kid among two", verify(""), fault.TokenInvalid)

		// The old one is withdrawn, and forgotten with the next refresh.
		i.says(http.StatusOK, jwksOf(t, rsaJWK("rsa-2", &ring.rsa2.PublicKey)), nil)
		time.Sleep(auth.DefaultJWKSRefresh + time.Second) //nolint:forbidigo // in a bubble
		wants(t, "a withdrawn key", verify("rsa-1"), fault.TokenInvalid)
		wants(t, "the other", verify("rsa-2"), "")
	})
}

func TestJWKSSurvivesItsIssuer(t *testing.T) {
	t.Parallel()
	issued(t, func(t *testing.T, i *issuer, verify func(string) fault.Code) {
		wants(t, "while it is up", verify("rsa-1"), "")
		for name, down := range map[string]func(){
			"down":    func() { i.says(0, "", errors.New("connection refused")) },
			"garbage": func() { i.says(http.StatusOK, `{"keys":[{"kty":"RSA"}]}`, nil) },
		} {
			down()
			time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
			wants(t, name, verify("rsa-1"), "")
			wants(t, name+", a key only it could know", verify("rsa-2"), fault.Unavailable)
		}
	})
}

func TestJWKSDownAtStart(t *testing.T) {
	t.Parallel()
	ring := keyringOf()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		i.says(0, "", errors.New("connection refused"))
		tokens := auth.NewTokens(auth.TokensOptions{JWKS: jwks(t, i), Now: func() time.Time { return now }})
		text := token(t, jwt.SigningMethodRS256, ring.rsa, kid("rsa-1"), nil)
		_, err := tokens.Verify(t.Context(), text)
		wants(t, "while it is down", fault.CodeOf(err), fault.Unavailable)
		i.says(http.StatusOK, jwksOf(t, rsaJWK("rsa-1", &ring.rsa.PublicKey)), nil)
		asked := i.times()
		time.Sleep(11 * time.Second) //nolint:forbidigo // in a bubble
		if n := i.times(); n != asked+1 {
			t.Errorf("asked %d times without a token that needs it, want once in ten seconds", n-asked)
		}
		if _, err = tokens.Verify(t.Context(), text); err != nil {
			t.Errorf("ten seconds after it has come up: %v", err)
		}
	})
}

// A storm of made-up keys costs the issuer one request in ten seconds, and holds
// up nobody with a good one.
func TestJWKSStorm(t *testing.T) {
	t.Parallel()
	issued(t, func(t *testing.T, i *issuer, verify func(string) fault.Code) {
		wants(t, "before", verify("rsa-1"), "")
		const seconds = 60
		for range seconds {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { wants(t, "made up", verify("rsa-9"), fault.TokenInvalid) })
			}
			wg.Wait()
			wants(t, "a good one", verify("rsa-1"), "")
			time.Sleep(time.Second) //nolint:forbidigo // in a bubble
		}
		if n := i.times(); n > 1+seconds/10 {
			t.Errorf("the issuer was asked %d times in %d seconds", n, seconds)
		}
	})
}

func TestJWKSAddress(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://idp.example/keys": true, "http://127.0.0.1:5556/keys": true, "http://localhost/keys": true, "http://[::1]/keys": true,
		"http://idp.example/keys": false, "": false, "idp.example": false, "file:///etc/keys": false, "https:///keys": false, "http://127.0.0.1.evil.example/": false,
	} {
		if _, err := auth.NewJWKS(auth.JWKSOptions{URL: url}); (err == nil) != ok || err != nil && fault.CodeOf(err) != fault.InvalidConfig {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Over a real socket: a good set is taken, and one that we are sent on to in the
// clear is not.
func TestJWKSOverHTTP(t *testing.T) {
	t.Parallel()
	ring := keyringOf()
	set := jwksOf(t, rsaJWK("rsa-1", &ring.rsa.PublicKey))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   fault.Code
	}{
		"a set": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(set)) }, ""},
		"sent on": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://idp.example/", http.StatusFound)
		}, fault.Unavailable},
		"for ever": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, fault.Unavailable},
	} {
		s := httptest.NewServer(c.answer)
		j, err := auth.NewJWKS(auth.JWKSOptions{URL: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		j.Start()
		tokens := auth.NewTokens(auth.TokensOptions{JWKS: j, Now: func() time.Time { return now }})
		_, err = tokens.Verify(t.Context(), token(t, jwt.SigningMethodRS256, ring.rsa, kid("rsa-1"), nil))
		wants(t, name, fault.CodeOf(err), c.code)
		if err := j.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}
