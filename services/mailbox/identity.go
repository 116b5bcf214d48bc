package mailbox

import (
	"crypto/sha256"
	"encoding/base32"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
)

// A subscriber's id follows from its owner and its name, so that registering the
// same name again, on any replica and after any loss, gives the same id:
//
//	<8 characters of the owner's hash> <16 of owner and name>
//
// The first part groups an owner's documents: the key in the bucket is
// <owner>.<name>, and <owner>.* lists them. That an id is easy to learn does no
// harm: the document names the owner, and only the owner gets an answer.
const (
	ownerLength = 8
	nameLength  = 16
	idLength    = ownerLength + nameLength
)

func ownerID(p *auth.Principal) string { return digest(ownerLength, p.Issuer, p.Subject) }

func subscriberID(p *auth.Principal, name string) string {
	return ownerID(p) + digest(nameLength, p.Issuer, p.Subject, name)
}

// digest is so many characters of lower-case base32 of a hash of the parts.
func digest(length int, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte(":" + p))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:length]
}

// validID says whether a text can be a subscriber's id; only then may it become
// part of a subject.
func validID(id string) bool {
	return len(id) == idLength && strings.IndexFunc(id, func(c rune) bool { return (c < 'a' || 'z' < c) && (c < '2' || '7' < c) }) < 0
}

// stateKey is where the document of a subscriber is in the bucket.
func stateKey(id string) string { return id[:ownerLength] + "." + id[ownerLength:] }

// A message's id is the position of its copy in MAILBOX, a lock's a random number.

func (s *Service) messageID(seq uint64) string {
	return event.Cursor{Epoch: s.epoch, Seq: seq}.String()
}

// sequence is what messageID wrote; 0 for any other text.
func (s *Service) sequence(id string) uint64 {
	c, err := event.ParseCursor(id)
	if err != nil || c.Epoch != s.epoch {
		return 0
	}
	return c.Seq
}

const lockBase = 36

func newLock() uint64 { return rand.Uint64()>>1 | 1 } // never 0, which is no lock

func lockID(lock uint64) string { return strconv.FormatUint(lock, lockBase) }

// parseLock is what lockID wrote; 0 for any other text.
func parseLock(id string) uint64 {
	lock, err := strconv.ParseUint(id, lockBase, 64)
	if err != nil || lockID(lock) != id {
		return 0
	}
	return lock
}
