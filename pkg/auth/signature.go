package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A server that has a key signs each of its requests, and shows no token:
//
//	Authorization: Belfry-HMAC-SHA256 key=erp, time=1763712000, nonce=c29tZSByYW5kb20, signature=…
//
// The signature is base64url, without padding, of HMAC-SHA256 under the key's
// secret over these lines, each ended by "\n":
//
//	belfry-hmac-sha256
//	POST                         the method; NATS for a request on NATS
//	/v1/events?tenant=AA         path and query as sent; the subject
//	erp                          key
//	1763712000                   time, in seconds since 1970
//	c29tZSByYW5kb20              nonce
//	ce-id:17                     content-type and every ce-… header: name in lower
//	content-type:application/json  case, value without spaces around; sorted as text
//	                             an empty line
//	e3b0c442…                    SHA-256 of the body, in lower-case hex
//
// The headers are signed because in CloudEvents' binary mode they are the event.

// SignatureScheme is the scheme of the Authorization header.
const SignatureScheme = "Belfry-HMAC-SHA256"

const (
	signedBy = "belfry-hmac-sha256"
	overNATS = "NATS"

	// DefaultWindow is how far the time of a signed request may be from ours.
	DefaultWindow = 5 * time.Minute

	maxSignature        = 512 // bytes of the whole header
	minNonce, maxNonce  = 16, 64
	maxHMACKeyID        = 64
	signatureTextLength = 43 // base64url of 32 bytes
)

// signature is what the header says.
type signature struct {
	key, nonce string
	time       time.Time
	mac        []byte
}

// parseSignature reads the header behind its scheme. It is strict: each of the
// four once, nothing else. Code signature_invalid.
func parseSignature(text string) (s signature, err error) {
	refused := func(rule string) error { return fault.New(fault.SignatureInvalid, "signature: %s", rule) }
	if len(text) > maxSignature {
		return s, refused("the header is longer than any signature")
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := values[name]; twice {
			return s, refused("the header says something twice")
		}
		values[name] = value
	}
	seconds, err := strconv.ParseInt(values["time"], 10, 64)
	switch {
	case len(values) != 4:
		return s, refused("must be " + SignatureScheme + " key=…, time=…, nonce=…, signature=…")
	case !plainText(values["key"], 1, maxHMACKeyID):
		return s, refused("key must be 1 to 64 of A-Z a-z 0-9 - _")
	case err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != values["time"]:
		return s, refused("time must be seconds since 1970")
	case !plainText(values["nonce"], minNonce, maxNonce):
		return s, refused("nonce must be 16 to 64 of A-Z a-z 0-9 - _")
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(values["signature"])
	if err != nil || len(values["signature"]) != signatureTextLength {
		return s, refused("signature must be 32 bytes in base64url without padding")
	}
	return signature{key: values["key"], nonce: values["nonce"], time: time.Unix(seconds, 0), mac: mac}, nil
}

// plainText says whether s is min to max bytes of an alphabet that is one token in
// headers, subjects and keys alike.
func plainText(s string, shortest, longest int) bool {
	if len(s) < shortest || len(s) > longest {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func (s signature) String() string {
	return SignatureScheme + " key=" + s.key + ", time=" + strconv.FormatInt(s.time.Unix(), 10) + ", nonce=" + s.nonce +
		", signature=" + base64.RawURLEncoding.EncodeToString(s.mac)
}

// over computes what the signature must be.
func (s signature) over(secret []byte, method, target string, headers map[string][]string, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	for _, line := range []string{signedBy, method, target, s.key, strconv.FormatInt(s.time.Unix(), 10), s.nonce} {
		_, _ = m.Write([]byte(line + "\n")) // a hash never fails
	}
	var lines []string
	for name, values := range headers {
		if name = strings.ToLower(name); name != "content-type" && !strings.HasPrefix(name, "ce-") {
			continue
		}
		for _, v := range values {
			lines = append(lines, name+":"+strings.TrimSpace(v)+"\n")
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256(body)
	_, _ = m.Write([]byte(strings.Join(lines, "") + "\n" + hex.EncodeToString(sum[:]) + "\n"))
	return m.Sum(nil)
}

// sign makes a signature with a fresh nonce.
func (k HMACKey) sign(now time.Time, method, target string, headers map[string][]string, body []byte) string {
	s := signature{key: k.ID, nonce: rand.Text(), time: now}
	s.mac = s.over(k.Secret, method, target, headers, body)
	return s.String()
}

// SignHTTP signs a request as it is now, with the body that it will send: set
// all headers first. Each request must be signed anew, a repeated one as well.
func (k HMACKey) SignHTTP(r *http.Request, body []byte, now time.Time) {
	r.Header.Set("Authorization", k.sign(now, r.Method, r.URL.RequestURI(), r.Header, body))
}

// SignNATS signs a request on NATS, as SignHTTP does.
func (k HMACKey) SignNATS(m *nats.Msg, now time.Time) {
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header.Set("Authorization", k.sign(now, overNATS, m.Subject, m.Header, m.Data))
}

// Signed says whether a request carries a signature, so that its body must be
// read before HTTP can say whose it is.
func Signed(r *http.Request) bool {
	_, ok := signatureOf(r.Header.Get("Authorization"))
	return ok
}

// signatureOf cuts the scheme off a header.
func signatureOf(value string) (text string, ok bool) {
	scheme, text, _ := strings.Cut(value, " ")
	return text, strings.EqualFold(scheme, SignatureScheme)
}
