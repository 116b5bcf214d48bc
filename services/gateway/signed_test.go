package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// oneSigner is the keys of a platform with one server.
type oneSigner struct{ key auth.HMACKey }

func (s oneSigner) HMACKey(id string) (auth.HMACKey, bool) { return s.key, id == s.key.ID }

// GW5: a server that signs its requests publishes without a token; the same
// request again, or with one attribute changed, stores nothing.
func TestGW5SignedPublish(t *testing.T) {
	t.Parallel()
	erp := auth.HMACKey{
		ID: "erp-1", Secret: []byte(strings.Repeat("e", 32)), Subject: "erp", Tenants: []string{"AA"},
		Grants: auth.Grants{{Action: auth.Publish, Topic: "invoices"}},
	}
	nonces := auth.NewNonces(bustest.Start(t).Bus().JS)
	w := newWorld(t, func(o *Options, _ *[]bustest.Option) {
		o.Env.Guard = auth.NewGuard(auth.GuardOptions{Tokens: o.Env.Guard, Keys: oneSigner{erp}, Nonces: nonces})
	})
	const body = `{"number":"2026-0042"}`
	signed := func(kind string) *http.Request {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.http.URL+"/v1/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"ce-specversion": "1.0", "ce-id": "17", "ce-source": "/erp", "ce-type": kind, "Content-Type": "application/json",
		} {
			r.Header.Set(name, value)
		}
		erp.SignHTTP(r, []byte(body), time.Now())
		return r
	}
	send := func(r *http.Request) (int, string) {
		t.Helper()
		var headers []string
		for name := range r.Header {
			headers = append(headers, name, r.Header.Get(name))
		}
		return w.call(http.MethodPost, "/v1/events", "", body, headers...)
	}
	r := signed("invoices.created")
	if status, answer := send(r); status != http.StatusOK || !strings.Contains(answer, `"id":"17"`) {
		t.Fatalf("%d %s", status, answer)
	}
	forged := signed("invoices.created")
	forged.Header.Set("ce-type", "invoices.deleted")
	for name, c := range map[string]struct {
		r      *http.Request
		status int
		code   fault.Code
	}{
		"again":                      {r, http.StatusUnauthorized, fault.NonceReplayed},
		"with another type":          {forged, http.StatusUnauthorized, fault.SignatureInvalid},
		"of a topic it has not":      {signed("orders.created"), http.StatusForbidden, fault.GrantMissing},
		"which was signed once more": {signed("invoices.created"), http.StatusOK, ""},
	} {
		if status, answer := send(c.r); status != c.status || !strings.Contains(answer, string(c.code)) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}
