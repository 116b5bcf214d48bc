package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/belfry-events/belfry/pkg/fault"
)

// SecretBytes is how much randomness a generated secret holds.
const SecretBytes = 32

// ReadSecrets reads a secret file: one secret per line, the first signs, all
// verify, so a secret is rotated by adding the new one above. The bytes of a
// line are the secret, as other JWT tools take it. Code invalid_config.
func ReadSecrets(path string) ([][]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidConfig, err, "auth.secret_file: %s", err).With("field", "auth.secret_file")
	}
	var secrets [][]byte
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			secrets = append(secrets, bytes.Clone(line))
		}
	}
	if len(secrets) == 0 {
		return nil, fault.Field(fault.InvalidConfig, "auth.secret_file", "%s holds no secret", path)
	}
	return secrets, nil
}

// LoadOrCreateSecret reads the secrets in path, and writes a random one (mode
// 0600) if there is no such file. Several processes may do so at once: all get
// the same. Code data_dir_unwritable.
func LoadOrCreateSecret(path string) ([][]byte, error) {
	switch secrets, err := ReadSecrets(path); {
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.Wrap(fault.DataDirUnwritable, err, "cannot read the token secret %s: it belongs to another user", path)
	case !errors.Is(err, fs.ErrNotExist):
		return secrets, err
	}
	if err := createSecret(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fault.Wrap(fault.DataDirUnwritable, err, "cannot write the token secret %s", path)
	}
	return ReadSecrets(path)
}

// createSecret writes the whole file before it gets its name, so that nobody
// reads half of one, and a second creator loses with fs.ErrExist.
func createSecret(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	random := make([]byte, SecretBytes)
	_, _ = rand.Read(random) // never fails: crypto/rand ends the process instead
	_, err = fmt.Fprintln(f, base64.RawURLEncoding.EncodeToString(random))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
