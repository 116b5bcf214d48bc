package objectevent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// verifyStandardWebhook is what a receiver does, written from the specification
// and not from what signs.
func verifyStandardWebhook(shown string, h http.Header, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(shown, "whsec_"))
	if err != nil || !strings.HasPrefix(shown, "whsec_") {
		return errors.New("no secret")
	}
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return errors.New("too old or too new")
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "." + string(body)))
	want := m.Sum(nil)
	for one := range strings.SplitSeq(h.Get("webhook-signature"), " ") {
		version, text, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(text)
		if err == nil && version == "v1" && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

// TestSignatureOfTheSpecification: the example of standard-webhooks/spec.
func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	sign(h, []secret{{Key: key}}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Fatalf("%s, not %s", got, want)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	first := []secret{newSecret()}
	both := rotate(first, now, now.Add(time.Hour))
	for _, c := range []struct {
		at    time.Time
		known secret
		fits  bool
	}{
		{now, first[0], true},
		{now, both[0], true},
		{now.Add(time.Hour), first[0], false},
		{now.Add(time.Hour), both[0], true},
	} {
		h := http.Header{}
		sign(h, both, "id", c.at, []byte("body"))
		if err := verifyStandardWebhook(c.known.String(), h, []byte("body"), c.at); (err == nil) != c.fits {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
	if third := rotate(both, now.Add(2*time.Hour), now.Add(3*time.Hour)); len(third) != 2 {
		t.Errorf("%d secrets, not the newest two", len(third))
	}
	if at := rotate(first, now, now); len(at) != 1 {
		t.Errorf("a secret without overlap stays")
	}
}
