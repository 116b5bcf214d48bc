package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belfry-events/belfry/pkg/fault"
)

// The algorithms that tokens may be signed with (RFC 7518 §3.1, RFC 8037).
const (
	HS256Alg = "HS256"
	RS256Alg = "RS256"
	ES256Alg = "ES256"
	EdDSAAlg = "EdDSA"
)

// Bounds of RSA keys, in bits: shorter ones are broken, longer ones let a token
// cost more than checking it is worth.
const minRSA, maxRSA = 2048, 8192

// Key is one key that tokens are checked with. Its kind binds the algorithm, so
// that a public key can never be taken for the secret of an HS256 token, which
// anybody could then sign.
type Key struct {
	ID  string // kid; "" = none
	Alg string // the only algorithm the key is used with

	material any // what golang-jwt wants for Alg
}

// NewKey binds a key to its algorithm: *rsa.PublicKey of 2048 to 8192 bits,
// *ecdsa.PublicKey on P-256, ed25519.PublicKey, or a secret of at least
// MinSecret bytes. Code invalid_config, field auth.keys.
func NewKey(id string, material any) (Key, error) {
	refused := func(format string, args ...any) (Key, error) {
		return Key{}, fault.Field(fault.InvalidConfig, keysSetting, "key %.64q: "+format, append([]any{id}, args...)...)
	}
	switch k := material.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return refused("%d bits are outside %d to %d", bits, minRSA, maxRSA)
		}
		return Key{id, RS256Alg, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return refused("is not on the curve P-256")
		}
		return Key{id, ES256Alg, k}, nil
	case ed25519.PublicKey:
		return Key{id, EdDSAAlg, k}, nil
	case []byte:
		if len(k) < MinSecret {
			return refused("%d bytes are below the minimum of %d", len(k), MinSecret)
		}
		return Key{id, HS256Alg, k}, nil
	}
	return refused("is of a kind we do not take: RSA, EC on P-256, Ed25519, or a secret")
}

// SecretKey is shared secrets as one key without an id: any of them may have
// signed, so that they can be rotated. Code invalid_config, field auth.secret.
func SecretKey(secrets [][]byte) (Key, error) {
	if len(secrets) == 0 {
		return Key{}, fault.Field(fault.InvalidConfig, "auth.secret", "is needed to verify tokens")
	}
	var set jwt.VerificationKeySet
	for _, s := range secrets {
		if len(s) < MinSecret {
			return Key{}, fault.Field(fault.InvalidConfig, "auth.secret", "%d bytes are below the minimum of %d", len(s), MinSecret)
		}
		set.Keys = append(set.Keys, s)
	}
	return Key{Alg: HS256Alg, material: set}, nil
}

// keySet is the keys of one source.
type keySet []Key

// find picks the one key that a token's header means. The shared secrets have no
// name and take whatever no other key has. Of the public keys, a token that names
// none gets one only where there is no choice.
func (ks keySet) find(alg, kid string) (material any, ok bool) {
	var secrets any
	n := 0
	for _, k := range ks {
		switch {
		case k.Alg != alg:
		case kid != "" && k.ID == kid:
			return k.material, true
		case k.ID == "" && alg == HS256Alg:
			secrets = k.material
		case kid == "":
			material, n = k.material, n+1
		}
	}
	if secrets != nil {
		return secrets, true
	}
	return material, n == 1
}

// has says whether any key is for the algorithm.
func (ks keySet) has(alg string) bool {
	return slices.ContainsFunc(ks, func(k Key) bool { return k.Alg == alg })
}

// algs lists the algorithms of the keys, each once.
func (ks keySet) algs() (algs []string) {
	for _, alg := range []string{HS256Alg, RS256Alg, ES256Alg, EdDSAAlg} {
		if ks.has(alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}
