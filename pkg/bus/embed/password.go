package embed

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/belfry-events/belfry/pkg/fault"
)

// PasswordFile is the name, inside the data directory, of the file with the
// generated password of the service user. Only its owner may read it.
const PasswordFile = "nats-service.password"

// loadPassword reads the generated password, or makes one. The caller holds the
// lock on the directory, so nobody else writes it at the same time.
func loadPassword(dir string) (string, error) {
	path := filepath.Join(dir, PasswordFile)
	b, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(b)) != "" {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fault.Wrap(fault.DataDirUnwritable, err, "data_dir: %s cannot be read", path).With("field", "data_dir")
	}
	password := rand.Text() // 128 bits
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", fault.Wrap(fault.DataDirUnwritable, err, "data_dir: %s cannot be written", path).With("field", "data_dir")
	}
	return password, nil
}

// HashPassword is what a configuration holds of a generated password. One of 128
// random bits cannot be guessed, so the hash is a cheap one: a costly one would
// only slow down the server when everybody reconnects at once.
func HashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(hash), nil
}
