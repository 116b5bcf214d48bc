package process

import (
	"os"
	"path/filepath"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// SecretFile is the name, inside the data directory, of the file with the secret
// that tokens are signed with.
const SecretFile = "secret"

// Tokens makes what verifies and signs tokens. Without a configured secret it is
// the one in the data directory, which is generated the first time: never a
// default password. Codes invalid_config, data_dir_unwritable.
func (c Config) Tokens() (*auth.HS256, error) {
	secrets, err := c.secrets()
	if err != nil {
		return nil, err
	}
	return auth.NewHS256(auth.HS256Options{
		Secrets: secrets, Issuer: c.Auth.Issuer, Audience: c.Auth.Audience, Skew: c.Auth.Skew,
	})
}

func (c Config) secrets() ([][]byte, error) {
	switch {
	case c.Auth.Secret != "":
		return [][]byte{[]byte(c.Auth.Secret)}, nil
	case c.Auth.SecretFile != "":
		return auth.ReadSecrets(c.Auth.SecretFile)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fault.Wrap(fault.DataDirUnwritable, err, "data_dir: %s cannot be written", c.DataDir).With("field", "data_dir")
	}
	return auth.LoadOrCreateSecret(filepath.Join(c.DataDir, SecretFile))
}
