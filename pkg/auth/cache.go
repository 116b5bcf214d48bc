package auth

import (
	"context"
	"crypto/sha256"
	"sync"
)

// Cached is a Verifier that recognises a token it has verified before, because a
// partner that polls shows the same one with every call. What it recognises is as
// good as verified anew: a token that has expired is not, and none is after the
// issuer's keys were read again. What was revoked is not its business, but the
// Guard's, with every call. Safe for concurrent use.
type Cached struct {
	tokens *Tokens

	// Those that were shown lately, and those before: what is not shown while the
	// first fills up is forgotten with the second.
	mu           sync.Mutex
	lately, once map[tokenHash]verified
}

// tokenHash stands for a token, so that memory holds none.
type tokenHash [sha256.Size]byte

type verified struct {
	who  *Principal
	keys uint64 // the readings of the issuer's keys before
}

// maxLately is how many tokens are recognised at least, and half of how many at
// most: about 4 MB.
const maxLately = 4096

// NewCached recognises what t has verified.
func NewCached(t *Tokens) *Cached {
	return &Cached{tokens: t, lately: map[tokenHash]verified{}}
}

// Verify implements Verifier.
func (c *Cached) Verify(ctx context.Context, token string) (*Principal, error) {
	if len(token) > MaxToken {
		return c.tokens.Verify(ctx, token) // which refuses it, unread
	}
	hash, keys := tokenHash(sha256.Sum256([]byte(token))), c.tokens.readings()
	if v, ok := c.find(hash); ok && v.keys == keys && c.tokens.o.Now().Before(v.who.Expires) {
		return v.who, nil
	}
	p, err := c.tokens.Verify(ctx, token)
	if err == nil {
		c.keep(hash, verified{p, keys})
	}
	return p, err
}

func (c *Cached) find(hash tokenHash) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.lately[hash]
	if !ok {
		if v, ok = c.once[hash]; ok {
			c.put(hash, v)
		}
	}
	return v, ok
}

func (c *Cached) keep(hash tokenHash, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(hash, v)
}

// put is under mu.
func (c *Cached) put(hash tokenHash, v verified) {
	if len(c.lately) >= maxLately {
		c.lately, c.once = map[tokenHash]verified{}, c.lately
	}
	c.lately[hash] = v
}

// readings is how often the issuer's keys were read: others may count since.
func (t *Tokens) readings() uint64 {
	if t.o.JWKS == nil {
		return 0
	}
	return t.o.JWKS.readings.Load()
}
