package process

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/run"
)

// SecretFile is the name, inside the data directory, of the file with the secret
// that tokens are signed with.
const SecretFile = "secret"

// ownSecret says that tokens are signed with the secret of the data directory:
// nobody has said who else signs them.
func (a Auth) ownSecret() bool {
	return a.Secret == "" && a.SecretFile == "" && len(a.Keys) == 0 && a.JWKSURL == ""
}

// Tokens makes what verifies and signs tokens with a shared secret. Without a
// configured one it is the one in the data directory, which is generated the
// first time: never a default password. Codes invalid_config, also when tokens
// come from elsewhere, and data_dir_unwritable.
func (c Config) Tokens() (*auth.HS256, error) {
	secrets, err := c.secrets()
	switch {
	case err != nil:
		return nil, err
	case secrets == nil:
		return nil, fault.Field(fault.InvalidConfig, "auth.secret", "is needed to make tokens; these are made by whoever has the keys of auth.keys or auth.jwks_url")
	}
	return auth.NewHS256(auth.HS256Options{
		Secrets: secrets, Issuer: c.Auth.Issuer, Audience: c.Auth.Audience, Skew: c.Auth.Skew, MaxLife: c.Auth.MaxLife,
	})
}

// KnownTokens is Tokens for whoever calls a platform: it makes no secret, because one
// that was made just now is nobody else's. Code invalid_config also if there is none.
func (c Config) KnownTokens() (*auth.HS256, error) {
	if c.Auth.ownSecret() {
		if _, err := os.Stat(filepath.Join(c.DataDir, SecretFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Field(fault.InvalidConfig, "data_dir", "%s has no secret to make a token with: no platform has run there", c.DataDir)
		}
	}
	return c.Tokens()
}

// secrets are the shared ones; nil = none count.
func (c Config) secrets() ([][]byte, error) {
	switch {
	case c.Auth.Secret != "":
		return [][]byte{[]byte(c.Auth.Secret)}, nil
	case c.Auth.SecretFile != "":
		return auth.ReadSecrets(c.Auth.SecretFile)
	case !c.Auth.ownSecret():
		return nil, nil
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fault.Wrap(fault.DataDirUnwritable, err, "data_dir: %s cannot be written", c.DataDir).With("field", "data_dir")
	}
	return auth.LoadOrCreateSecret(filepath.Join(c.DataDir, SecretFile))
}

// verifier makes what verifies tokens, with all keys that are configured. jwks is
// nil without auth.jwks_url, and not started. Codes invalid_config,
// data_dir_unwritable.
func (c Config) verifier(log *slog.Logger) (tokens *auth.Tokens, jwks *auth.JWKS, err error) {
	secrets, err := c.secrets()
	if err != nil {
		return nil, nil, err
	}
	keys, err := auth.ReadKeys(c.Auth.Keys)
	if err != nil {
		return nil, nil, err
	}
	if secrets != nil {
		key, err := auth.SecretKey(secrets)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	if c.Auth.JWKSURL != "" {
		if jwks, err = auth.NewJWKS(auth.JWKSOptions{URL: c.Auth.JWKSURL, Refresh: c.Auth.JWKSRefresh, Log: log}); err != nil {
			return nil, nil, err
		}
		if c.Auth.Audience == "" {
			log.Warn("auth.audience is not set: tokens that the issuer made for other programs are taken, too")
		}
	}
	return auth.NewTokens(auth.TokensOptions{
		Keys: keys, JWKS: jwks, Issuer: c.Auth.Issuer, Audience: c.Auth.Audience,
		Skew: c.Auth.Skew, MaxLife: c.Auth.MaxLife,
	}), jwks, nil
}

// openAuth reads keys before anything else is started: a wrong file is told at
// once. An issuer that is down is not waited for.
func (p *Process) openAuth(context.Context) (_ closer, err error) {
	var jwks *auth.JWKS
	var tokens *auth.Tokens
	if tokens, jwks, err = p.o.Config.verifier(p.log); err != nil {
		return nil, err
	}
	p.tokens = auth.NewCached(tokens)
	if file := p.o.Config.Auth.HMACKeysFile; file != "" {
		if p.hmacKeys, err = auth.OpenHMACKeys(file, p.log); err != nil {
			return nil, err
		}
	}
	if jwks == nil {
		return nil, nil //nolint:nilnil // nothing to close
	}
	jwks.Start()
	return jwks.Close, nil
}

// newGuard needs the bus: what was revoked, and which signed requests were taken,
// is the same in every process. It is ready when it knows all revocations.
func (p *Process) newGuard(ctx context.Context) (run.Service, error) {
	revocations := auth.NewRevocations(p.bus.JS, p.log)
	// Who did it is known as far as NATS knows it: somebody with a service's
	// credentials. Every process records what it has heard of.
	revocations.OnRevoked(func(r auth.Revocation) {
		what := "revoke token " + r.TokenID
		if r.TokenID == "" {
			what = "revoke user " + r.User
		}
		p.audit.Record(ctx, api.Entry{Who: "service", What: what, Tenant: r.Tenant, Admin: true})
	})
	o := auth.GuardOptions{Tokens: p.tokens, Revocations: revocations, Window: p.o.Config.Auth.HMACWindow}
	if p.hmacKeys != nil {
		o.Keys, o.Nonces = p.hmacKeys, auth.NewNonces(p.bus.JS)
	}
	p.guard = auth.NewGuard(o)
	return revocations, nil
}
