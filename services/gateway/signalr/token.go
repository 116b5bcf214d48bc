package signalr

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// inactive is how long an id may be unconnected: between negotiate and the first
// request, and while a stateful client is away (.NET: DisconnectTimeout).
const inactive = 15 * time.Second

// ticket is what a connection token says. Its text is base64url, because clients
// put it into a query as it is:
//
//	version 1 · flags 1 · expiry 8 · connection 12 · user 16 · HMAC-SHA256 32
//
// The seal makes it a secret that opens one connection, for one user, once; the
// connection's public id, which other users may see, opens nothing.
type ticket struct {
	connection [12]byte
	user       [16]byte // digest of the caller's identity
	expires    int64    // unix seconds: the first request must come before
	stateful   bool
}

const (
	ticketVersion = 1
	flagStateful  = 1

	bodySize   = 1 + 1 + 8 + 12 + 16
	ticketSize = bodySize + sha256.Size
)

func newTicket(p *auth.Principal, stateful bool, now time.Time) ticket {
	t := ticket{user: digest(p), expires: now.Add(inactive).Unix(), stateful: stateful}
	_, _ = rand.Read(t.connection[:]) // never fails
	return t
}

// id is the connection's public name.
func (t ticket) id() string { return base64.RawURLEncoding.EncodeToString(t.connection[:]) }

// digest stands for a caller's identity.
func digest(p *auth.Principal) (d [16]byte) {
	sum := sha256.Sum256([]byte(p.Key()))
	copy(d[:], sum[:])
	return d
}

// seal signs tickets, once it has the key.
type seal struct{ key atomic.Pointer[[]byte] }

func (s *seal) open(key []byte) { s.key.Store(&key) }

// ready is the error of a server that has no key yet. Code starting.
func (s *seal) ready() error {
	if s.key.Load() == nil {
		return fault.New(fault.Starting, "the hub does not serve yet")
	}
	return nil
}

func (s *seal) mac(body []byte) []byte {
	h := hmac.New(sha256.New, *s.key.Load())
	h.Write(body)
	return h.Sum(nil)
}

func (s *seal) write(t ticket) string {
	b := make([]byte, 2, ticketSize)
	b[0] = ticketVersion
	if t.stateful {
		b[1] = flagStateful
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires))
	b = append(append(b, t.connection[:]...), t.user[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac(b)...))
}

// read answers false for whatever we have not sealed.
func (s *seal) read(text string) (t ticket, ok bool) {
	if base64.RawURLEncoding.DecodedLen(len(text)) != ticketSize {
		return t, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !hmac.Equal(s.mac(b[:bodySize]), b[bodySize:]) || b[0] != ticketVersion {
		return t, false
	}
	t.stateful = b[1]&flagStateful != 0
	t.expires = int64(binary.BigEndian.Uint64(b[2:]))
	copy(t.connection[:], b[10:])
	copy(t.user[:], b[22:])
	return t, true
}
