package auth

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one JSON Web Key (RFC 7517, RFC 8037), as far as we take it.
type jwk struct {
	Kty string   `json:"kty"`
	Kid string   `json:"kid"`
	Use string   `json:"use"`
	Alg string   `json:"alg"`
	Ops []string `json:"key_ops"`
	Crv string   `json:"crv"`
	N   string   `json:"n"`
	E   string   `json:"e"`
	X   string   `json:"x"`
	Y   string   `json:"y"`
	K   string   `json:"k"`
	D   string   `json:"d"` // a private key, which has no business here
}

// errOtherUse is a key that is in order and not for us.
var errOtherUse = errors.New("is not for signatures")

// parseJWKS reads a set as an issuer publishes it. Keys of other kinds or uses
// are passed over; a set without one that can be used is an error, and so is
// anything that is no set. Secrets are passed over, too: what everybody can read
// is none.
func parseJWKS(b []byte) (keySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("read a key set: %w", err)
	}
	var keys keySet
	var first error
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err == nil && k.Alg == HS256Alg {
			err = errOtherUse
		}
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("a key set of %d keys holds none that can be used: %w", len(set.Keys), cmp.Or(first, errOtherUse))
	}
	return keys, nil
}

// parseJWK reads one key.
func parseJWK(b []byte) (Key, error) {
	var j jwk
	if err := json.Unmarshal(b, &j); err != nil {
		return Key{}, fmt.Errorf("read a key: %w", err)
	}
	switch {
	case j.D != "":
		return Key{}, errors.New("is a private key; give its public half")
	case j.Use != "" && j.Use != "sig", len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify"):
		return Key{}, errOtherUse
	}
	material, err := j.material()
	if err != nil {
		return Key{}, err
	}
	k, err := NewKey(j.Kid, material)
	if err == nil && j.Alg != "" && j.Alg != k.Alg {
		return Key{}, fmt.Errorf("is for %.16q, which we do not take", j.Alg)
	}
	return k, err
}

func (j jwk) material() (any, error) {
	switch j.Kty + " " + j.Crv {
	case "RSA ":
		n, err := j.bytes(j.N)
		e, err2 := j.bytes(j.E)
		if err = errors.Join(err, err2); err != nil || len(e) > 4 {
			return nil, errors.New("has no RSA modulus and exponent that can be read")
		}
		k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if k.E < 3 || k.E%2 == 0 {
			return nil, errors.New("has an RSA exponent that is none")
		}
		return k, nil
	case "EC P-256":
		x, err := j.bytes(j.X)
		y, err2 := j.bytes(j.Y)
		if err = errors.Join(err, err2); err != nil {
			return nil, err
		}
		k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, x, y}, nil))
		if err != nil {
			return nil, errors.New("is no point on P-256")
		}
		return k, nil
	case "OKP Ed25519":
		x, err := j.bytes(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("is no Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	case "oct ":
		return j.bytes(j.K)
	}
	return nil, fmt.Errorf("is of kind %.16q %.16q, which we do not take", j.Kty, j.Crv)
}

func (j jwk) bytes(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, errors.New("has a member that is not base64url")
	}
	return b, nil
}
