package objectevent

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Secrets of hooks are in the store, and so in its backups, as they are, unless the
// operator gives a file of keys. A key that lay in the store, too, would keep nothing
// from whoever has the store; so there is none by default, and the shared keys of
// gateways, which are in it, do not serve.
//
//	sealed = nonce 12 · AES-256-GCM(key, secret), bound to tenant and hook
//	key    = HKDF-SHA256(a line of the file)
//
// The first line seals, all open: a key is replaced by adding the new one above. What is
// in the clear, or under another line, is sealed anew when a process starts.
type sealer struct{ keys []sealKey }

type sealKey struct {
	id   string // names the key beside what it seals; tells nothing about it
	aead cipher.AEAD
}

// minSealKey is the shortest line of the file, in bytes.
const minSealKey = 32

// newSealer reads the file; "" = nothing is sealed. Code invalid_config.
func newSealer(file string) (sealer, error) {
	const key = "objectevent.hook_key_file"
	if file == "" {
		return sealer{}, nil
	}
	lines, err := auth.ReadSecrets(file)
	if err != nil {
		return sealer{}, fault.Wrap(fault.InvalidConfig, err, "%s: %s cannot be read, or is empty", key, file).With("field", key)
	}
	var s sealer
	for _, line := range lines {
		if len(line) < minSealKey {
			return sealer{}, fault.Field(fault.InvalidConfig, key, "a key of %d bytes is below the minimum of %d", len(line), minSealKey)
		}
		k, err := newSealKey(line)
		if err != nil {
			return sealer{}, err
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

func newSealKey(line []byte) (k sealKey, err error) {
	bits, err := hkdf.Key(sha256.New, line, nil, "belfry secrets of hooks", 32)
	if err != nil {
		return k, fmt.Errorf("make the key of hooks' secrets: %w", err)
	}
	block, err := aes.NewCipher(bits)
	if err != nil {
		return k, fmt.Errorf("make the key of hooks' secrets: %w", err)
	}
	sum := sha256.Sum256(bits)
	k.id = hex.EncodeToString(sum[:4])
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// bound is what a sealed secret belongs to: in another hook it does not open.
func bound(tenant string, h *hook) []byte {
	return []byte(fmt.Sprintf("%d:%s%s", len(tenant), tenant, strings.ToLower(h.Name)))
}

// open opens the secrets of hooks that were read. One whose key is not there stays as
// it is, and its hook cannot be called.
func (s sealer) open(tenant string, all []hook) {
	for i := range all {
		for j := range all[i].Secrets {
			sealed := &all[i].Secrets[j]
			k := slices.IndexFunc(s.keys, func(k sealKey) bool { return k.id == sealed.By })
			if k < 0 || len(sealed.Sealed) < s.keys[k].aead.NonceSize() {
				continue
			}
			n := s.keys[k].aead.NonceSize()
			key, err := s.keys[k].aead.Open(nil, sealed.Sealed[:n], sealed.Sealed[n:], bound(tenant, &all[i]))
			if err == nil {
				*sealed = secret{Key: key, Until: sealed.Until}
			}
		}
	}
}

// seal are hooks as they are written.
func (s sealer) seal(tenant string, all []hook) []hook {
	if len(s.keys) == 0 {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		all[i].Secrets = slices.Clone(all[i].Secrets)
		for j := range all[i].Secrets {
			open := &all[i].Secrets[j]
			if len(open.Key) == 0 {
				continue // nobody here could open it
			}
			nonce := make([]byte, s.keys[0].aead.NonceSize())
			_, _ = rand.Read(nonce) // never fails
			*open = secret{Sealed: s.keys[0].aead.Seal(nonce, nonce, open.Key, bound(tenant, &all[i])), By: s.keys[0].id, Until: open.Until}
		}
	}
	return all
}

// stale says whether hooks as they are stored have a secret that can be sealed anew.
func (s sealer) stale(all []hook) bool {
	return slices.ContainsFunc(all, func(h hook) bool {
		return slices.ContainsFunc(h.Secrets, func(v secret) bool {
			known := slices.ContainsFunc(s.keys, func(k sealKey) bool { return k.id == v.By })
			return len(v.Key) > 0 || known && v.By != s.keys[0].id
		})
	})
}

// errSealed is why a hook cannot be called.
var errSealed = errors.New("its secret is sealed with a key that this process does not have")

// reseal seals what lies in the store in the clear, or under an older key.
func (s hookStore) reseal(ctx context.Context) (changed int, err error) {
	if len(s.sealer.keys) == 0 {
		return 0, nil
	}
	kv, err := s.kept.open(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := kv.ListKeys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return 0, nil
	}
	if err != nil {
		return 0, storeDown(err)
	}
	for key := range keys.Keys() {
		var raw tenantHooks
		if _, err := s.kept.get(ctx, key, &raw); err != nil || !s.sealer.stale(raw.Hooks) {
			continue // another start tries again
		}
		if err := s.change(ctx, subject.Unescape(key), func(all []hook) ([]hook, error) { return all, nil }); err != nil {
			return changed, err
		}
		changed++
	}
	return changed, nil
}

// resealAll is reseal when a process starts.
func (h *hooks) resealAll(ctx context.Context) {
	n, err := h.store.reseal(ctx)
	if n > 0 {
		h.log.InfoContext(ctx, "secrets of hooks sealed", telemetry.KeyCount, n)
	}
	if err != nil && ctx.Err() == nil {
		h.log.WarnContext(ctx, "secrets of hooks not sealed", telemetry.Err(err))
	}
}
