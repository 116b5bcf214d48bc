package objectevent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Calls over HTTP are signed as Standard Webhooks says (standard-webhooks/spec,
// "symmetric signatures"):
//
//	webhook-id         the deletion id, ":" and the hook's name: no ".", which divides
//	                   what is signed
//	webhook-timestamp  seconds since 1970
//	webhook-signature  v1,<base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>">
//
// several of them, separated by spaces, while a secret is being replaced.
const (
	headerWebhookID        = "webhook-id"
	headerWebhookTimestamp = "webhook-timestamp"
	headerWebhookSignature = "webhook-signature"

	secretPrefix = "whsec_" // before the key in base64
	secretBytes  = 32       // the specification asks for 24 to 64
)

// How long an old secret goes on signing.
const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 7 * 24 * time.Hour
)

// secret is one key of a hook.
type secret struct {
	Key    []byte `json:"key,omitempty"`
	Sealed []byte `json:"sealed,omitempty"` // instead of Key, in the store; see hookseal.go
	By     string `json:"by,omitempty"`     // with which key

	Until time.Time `json:"until,omitzero"` // zero = the newest, which signs until it is replaced
}

func newSecret() secret {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return secret{Key: key}
}

// String is what whoever registers the hook gets to see.
func (s secret) String() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.Key) }

// rotate puts a new secret before the newest one, which ends at until; those that
// have ended are forgotten.
func rotate(secrets []secret, now, until time.Time) []secret {
	all := []secret{newSecret()}
	for i, s := range secrets {
		if i == 0 {
			s.Until = until
		}
		if s.Until.After(now) {
			all = append(all, s)
		}
	}
	return all
}

// sign signs a call with every secret that has not ended; false: there is none.
func sign(h http.Header, secrets []secret, id string, now time.Time, body []byte) bool {
	stamp := strconv.FormatInt(now.Unix(), 10)
	var signatures []string
	for _, s := range secrets {
		if !s.Until.IsZero() && !s.Until.After(now) || len(s.Key) == 0 {
			continue
		}
		m := hmac.New(sha256.New, s.Key)
		_, _ = m.Write([]byte(id + "." + stamp + ".")) // a hash never fails
		_, _ = m.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	h.Set(headerWebhookID, id)
	h.Set(headerWebhookTimestamp, stamp)
	h.Set(headerWebhookSignature, strings.Join(signatures, " "))
	return len(signatures) > 0
}
