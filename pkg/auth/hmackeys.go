package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// HMACKey is a secret that a server signs its requests with, and who that server
// is.
type HMACKey struct {
	ID      string // 1 to 64 of A-Z a-z 0-9 - _
	Secret  []byte // at least MinSecret bytes
	Subject string // who it is; keys of the same subject are the same caller
	Tenants []string
	Grants  Grants
}

// SignatureIssuer is the issuer of a principal that signs: with its subject it
// is an identity that no key's rotation changes.
const SignatureIssuer = "hmac"

// HMACKeys finds keys by their id. Safe for concurrent use.
type HMACKeys interface {
	HMACKey(id string) (HMACKey, bool)
}

// hmacSetting is the setting that names the file.
const hmacSetting = "auth.hmac_keys_file"

// HMACKeyFile is the keys in a file:
//
//	{"keys":[{"id":"erp-2026","secret":"at least 32 bytes …","subject":"erp",
//	          "tenants":["AA"],"grants":["publish:*"]}]}
//
// It is read again within a second after it has changed. A change that cannot be
// read is logged and leaves the keys as they were.
type HMACKeyFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	keys   map[string]HMACKey
	info   fs.FileInfo // of the file as it was read
	looked time.Time
}

// fileLook is how often the file is looked at, when somebody asks for a key.
const fileLook = time.Second

// OpenHMACKeys reads the file. A nil log discards. Code invalid_config.
func OpenHMACKeys(path string, log *slog.Logger) (*HMACKeyFile, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &HMACKeyFile{path: path, log: log, looked: time.Now()}
	info, err := os.Stat(path)
	if err == nil {
		f.info = info
		f.keys, err = readHMACKeys(path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidConfig, err, "%s: %s: %s", hmacSetting, path, err).With("field", hmacSetting)
	}
	return f, nil
}

// HMACKey implements HMACKeys.
func (f *HMACKeyFile) HMACKey(id string) (HMACKey, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= fileLook {
		f.looked = now
		f.reload()
	}
	k, ok := f.keys[id]
	return k, ok
}

// reload reads the file if it is another one than before. Under mu.
func (f *HMACKeyFile) reload() {
	info, err := os.Stat(f.path)
	switch {
	case err == nil && f.info != nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size():
		return
	case err != nil && f.info == nil: // it was told
		return
	}
	f.info = info // also when it is broken, so that it is told once
	var keys map[string]HMACKey
	if err == nil {
		keys, err = readHMACKeys(f.path)
	} else {
		f.info = nil
	}
	if err != nil {
		f.log.Error("keys of signed requests cannot be read, the last ones go on counting", "file", f.path, "err", err.Error())
		return
	}
	f.keys = keys
	f.log.Info("keys of signed requests read again", "keys", len(keys))
}

func readHMACKeys(path string) (map[string]HMACKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseHMACKeys(b)
}

// parseHMACKeys reads the file's text and names the key that is wrong. It never
// shows a secret.
func parseHMACKeys(b []byte) (map[string]HMACKey, error) {
	var file struct {
		Keys []struct {
			ID      string   `json:"id"`
			Secret  string   `json:"secret"`
			Subject string   `json:"subject"`
			Tenants []string `json:"tenants"`
			Grants  []string `json:"grants"`
		} `json:"keys"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil || d.More() {
		return nil, fmt.Errorf("is not a file of keys: %w", errors.Join(err))
	}
	keys := map[string]HMACKey{}
	for i, k := range file.Keys {
		_, twice := keys[k.ID]
		switch {
		case !plainText(k.ID, 1, maxHMACKeyID):
			return nil, fmt.Errorf("key %d: id must be 1 to %d of A-Z a-z 0-9 - _", i+1, maxHMACKeyID)
		case twice:
			return nil, fmt.Errorf("key %q: is there twice", k.ID)
		case len(k.Secret) < MinSecret:
			return nil, fmt.Errorf("key %q: the secret's %d bytes are below the minimum of %d", k.ID, len(k.Secret), MinSecret)
		}
		if _, err := subject.Escape("subject", k.Subject); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		for _, t := range k.Tenants {
			if err := subject.CheckTenant(t); err != nil {
				return nil, fmt.Errorf("key %q: tenants: %w", k.ID, err)
			}
		}
		grants, err := ParseGrants(k.Grants)
		if err != nil {
			return nil, fmt.Errorf("key %q: grants: %w", k.ID, err)
		}
		keys[k.ID] = HMACKey{k.ID, []byte(k.Secret), k.Subject, k.Tenants, grants}
	}
	return keys, nil
}
