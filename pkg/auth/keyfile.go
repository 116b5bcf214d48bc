package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
)

// keysSetting is the setting that names the files.
const keysSetting = "auth.keys"

// ReadKeys reads the files of auth.keys, each with one public key in PEM (PUBLIC
// KEY, RSA PUBLIC KEY or CERTIFICATE), a JWK, or a JWK set. A key's id is its
// kid, and for a PEM file, or a JWK without one, the name of the file before its
// last dot. A key is rotated by adding the file of the new one, and taking away
// the old one's when the last of its tokens has expired. Code invalid_config.
func ReadKeys(paths []string) ([]Key, error) {
	var all []Key
	seen := map[[2]string]bool{}
	for _, path := range paths {
		keys, err := readKeys(path)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidConfig, err, "%s: %s: %s", keysSetting, path, err).With("field", keysSetting)
		}
		for _, k := range keys {
			if seen[[2]string{k.Alg, k.ID}] {
				return nil, fault.Field(fault.InvalidConfig, keysSetting, "%s: a second %s key %q", path, k.Alg, k.ID)
			}
			seen[[2]string{k.Alg, k.ID}] = true
		}
		all = append(all, keys...)
	}
	return all, nil
}

func readKeys(path string) (keySet, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if b = bytes.TrimSpace(b); !bytes.HasPrefix(b, []byte("{")) {
		k, err := parsePEM(name, b)
		return keySet{k}, err
	}
	var set struct {
		Keys json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err == nil && set.Keys != nil {
		return parseJWKS(b)
	}
	k, err := parseJWK(b)
	if k.ID == "" {
		k.ID = name
	}
	return keySet{k}, err
}

// parsePEM reads a file with one public key.
func parsePEM(id string, b []byte) (Key, error) {
	block, rest := pem.Decode(b)
	switch {
	case block == nil:
		return Key{}, errors.New("is neither PEM nor JSON")
	case strings.Contains(block.Type, "PRIVATE"):
		return Key{}, errors.New("is a private key; give its public half")
	case len(bytes.TrimSpace(rest)) > 0:
		return Key{}, errors.New("holds more than one key; give each a file")
	}
	var material any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			material = c.PublicKey
		}
	default:
		return Key{}, errors.New("is " + block.Type + ", not a public key")
	}
	if err != nil {
		return Key{}, err
	}
	return NewKey(id, material)
}
