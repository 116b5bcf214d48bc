package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/auth"
)

// rawClaims is what the reference reads of a token: the same, unchecked.
type rawClaims struct {
	jwt.RegisteredClaims
	Tenants []string `json:"tenants"`
	Grants  []string `json:"grants"`
}

// measureTokens compares how many tokens one core checks a second: ours from the
// token's text to a principal with its grants, golang-jwt's from the text to
// claims with a good signature.
func measureTokens(ctx context.Context, p plan) ([]figure, error) {
	var figures []figure
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		method      jwt.SigningMethod
		sign, check any
	}{
		{jwt.SigningMethodHS256, secret, secret},
		{jwt.SigningMethodRS256, rsaKey, &rsaKey.PublicKey},
		{jwt.SigningMethodES256, ecKey, &ecKey.PublicKey},
		{jwt.SigningMethodEdDSA, crypto.Signer(edKey), public},
	} {
		key, err := auth.NewKey("k", c.check)
		if err != nil {
			return nil, err
		}
		text, err := tokenOf(c.method, c.sign)
		if err != nil {
			return nil, err
		}
		guard := auth.NewGuard(auth.GuardOptions{Tokens: auth.NewTokens(auth.TokensOptions{
			Keys: []auth.Key{key}, Issuer: "idp", Audience: "belfry", MaxLife: 24 * time.Hour,
		})})
		parser := jwt.NewParser(jwt.WithValidMethods([]string{c.method.Alg()}), jwt.WithIssuer("idp"), jwt.WithAudience("belfry"), jwt.WithExpirationRequired())
		var ours, reference []float64
		for range p.rounds {
			rate, err := perSecond(ctx, p.length/4, func() error {
				_, err := guard.Verify(ctx, text)
				return err
			})
			if err != nil {
				return nil, err
			}
			ours = append(ours, rate)
			if rate, err = perSecond(ctx, p.length/4, func() error {
				_, err := parser.ParseWithClaims(text, &rawClaims{}, func(*jwt.Token) (any, error) { return c.check, nil })
				return err
			}); err != nil {
				return nil, err
			}
			reference = append(reference, rate)
		}
		figures = append(figures, numbers("tokens checked/s, one core, "+c.method.Alg(), "%.0f", ours, reference))
	}
	return figures, nil
}

// tokenOf is an ordinary token.
func tokenOf(method jwt.SigningMethod, key any) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(method, rawClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "idp", Subject: "anna", Audience: jwt.ClaimStrings{"belfry"}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		Tenants: []string{"AA", "BB"}, Grants: auth.Everything().Texts(),
	})
	t.Header["kid"] = "k"
	return t.SignedString(key)
}

// perSecond is how often f can be done a second.
func perSecond(ctx context.Context, length time.Duration, f func() error) (float64, error) {
	began, n := time.Now(), 0
	for ; time.Since(began) < length; n++ {
		if err := errors.Join(f(), ctx.Err()); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
