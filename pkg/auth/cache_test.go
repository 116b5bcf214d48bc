package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TestCachedToken: a token is recognised, and counts no longer than it would if it
// were verified every time.
func TestCachedToken(t *testing.T) {
	t.Parallel()
	clock := now
	h := newHS256(t, func(o *auth.HS256Options) {
		o.Now, o.Skew = func() time.Time { return clock }, time.Minute
	})
	cached := auth.NewCached(h.Tokens)
	token := sign(t, h, everyone)
	first, err := cached.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cached.Verify(t.Context(), token)
	if err != nil || again != first {
		t.Errorf("not recognised: %v %v", again, err)
	}
	for _, other := range []string{"", token + "x", token[:len(token)-1], sign(t, newHS256(t, func(o *auth.HS256Options) { o.Secrets = [][]byte{older} }), everyone)} {
		for range 2 {
			if _, err := cached.Verify(t.Context(), other); fault.CodeOf(err) != fault.TokenInvalid {
				t.Errorf("%.20q: %v", other, err)
			}
		}
	}
	for _, c := range []struct {
		at   time.Duration
		want fault.Code
	}{{time.Hour + time.Minute - 1, ""}, {time.Hour + time.Minute, fault.TokenExpired}} {
		clock = now.Add(c.at)
		_, err := cached.Verify(t.Context(), token)
		wants(t, "after "+c.at.String(), fault.CodeOf(err), c.want)
		_, err = h.Verify(t.Context(), token)
		wants(t, "uncached, after "+c.at.String(), fault.CodeOf(err), c.want)
	}
}

// TestCachedTokensAreBounded: more callers than are remembered are verified anew,
// and one who calls all the time is not.
func TestCachedTokensAreBounded(t *testing.T) {
	t.Parallel()
	h := newHS256(t)
	cached := auth.NewCached(h.Tokens)
	busy, rare := sign(t, h, everyone), sign(t, h, auth.Claims{Subject: "rare", TTL: time.Hour})
	verify := func(token string) *auth.Principal {
		p, err := cached.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, seldom := verify(busy), verify(rare)
	for i := range 3 * auth.MaxLately {
		verify(sign(t, h, auth.Claims{Subject: fmt.Sprint(i), TTL: time.Hour}))
		if i%1000 == 0 && verify(busy) != first {
			t.Fatal("a token that is always shown was forgotten")
		}
	}
	if verify(rare) == seldom {
		t.Error("everything is remembered")
	}
}

// TestCachedTokenIsRevoked at once, as any other.
func TestCachedTokenIsRevoked(t *testing.T) {
	t.Parallel()
	js := bustest.Start(t).Bus().JS
	h := newHS256(t)
	revocations := follow(t, js)
	guard := auth.NewGuard(auth.GuardOptions{Tokens: auth.NewCached(h.Tokens), Revocations: revocations})
	token := sign(t, h, everyone)
	p, err := guard.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	revoke(t, js, auth.Revocation{TokenID: p.TokenID})
	until(t, revocations, p, true)
	_, err = guard.Verify(t.Context(), token)
	wants(t, "a revoked token", fault.CodeOf(err), fault.TokenRevoked)
}
