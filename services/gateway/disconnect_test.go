package gateway

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW5: an operator closes a user's connections, of one tenant, with a code that
// says whether to come back; nobody else's, and nobody else may.
func TestGW5Disconnect(t *testing.T) {
	t.Parallel()
	var audit record
	w := newWorld(t, audited(&audit))
	of := func(user, tenant string, grants ...auth.Grant) string {
		return w.sign(auth.Claims{Subject: user, Tenants: []string{tenant}, Grants: append(auth.Everything(), grants...), TTL: time.Hour})
	}
	admin := of("root", "AA", auth.Grant{Action: auth.Admin})
	for _, c := range []struct {
		body string
		code fault.Code
	}{
		{`{"user":"anna","reconnect":true}`, fault.ComeBack},
		{`{"user":"anna","tenant":"AA"}`, fault.Disconnected},
	} {
		mine, other, foreign := w.open(of("anna", "AA")), w.open(of("bert", "AA")), w.open(of("anna", "BB"))
		stream := w.stream("/v1/sse", of("anna", "AA"))
		stream.next()
		if status, body := w.call(http.MethodPost, "/v1/disconnect", admin, c.body); status != http.StatusOK || strings.TrimSpace(body) != `{"connections":2,"gateways":1}` {
			t.Errorf("%s: %d %s", c.body, status, body)
		}
		if code, reason := mine.closed(); int(code) != c.code.CloseCode() || reason != string(c.code) {
			t.Errorf("%s: %d %s", c.body, code, reason)
		}
		if e := stream.next(); e.name != "close" || !strings.Contains(e.data, string(c.code)) {
			t.Errorf("%s: the stream: %+v", c.body, e)
		}
		for _, c := range []*window{other, foreign} {
			if f := c.ask(`{"ping":{}}`); f.Pong == nil {
				t.Errorf("somebody else: %+v", f)
			}
		}
	}
	for name, c := range map[string]struct {
		token, body string
		code        fault.Code
	}{
		"without the grant": {of("root", "AA"), `{"user":"anna"}`, fault.GrantMissing},
		"of another tenant": {admin, `{"user":"anna","tenant":"BB"}`, fault.TenantForbidden},
		"of nobody":         {admin, `{}`, fault.InvalidRequest},
		"of no name":        {admin, `{"user":"` + strings.Repeat("x", 300) + `"}`, fault.InvalidName},
	} {
		if _, body := w.call(http.MethodPost, "/v1/disconnect", c.token, c.body); !strings.Contains(body, `"`+string(c.code)+`"`) {
			t.Errorf("%s: %s", name, body)
		}
	}
	if status, body := w.call(http.MethodPost, "/v1/disconnect", admin, `{"user":"nobody"}`); status != http.StatusOK || strings.TrimSpace(body) != `{"connections":0,"gateways":1}` {
		t.Errorf("who is not there: %d %s", status, body)
	}
	if n := strings.Count(audit.String(), `"what":"POST /v1/disconnect","tenant":"AA","outcome":"ok"`); n != 3 {
		t.Errorf("%d of 3 in the audit log:\n%s", n, audit.String())
	}
}

// GW5: tokens are taken back over the API, within the caller's tenant.
func TestGW5RevokeByAPI(t *testing.T) {
	t.Parallel()
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	store, revocations := revocations(t)
	w := newWorld(t, func(o *Options, _ *[]bustest.Option) {
		o.Env.Guard = auth.NewGuard(auth.GuardOptions{Tokens: tokens, Revocations: revocations})
	})
	w.s.js = store
	sign := func(user, tenant string, grants ...auth.Grant) string {
		return w.sign(auth.Claims{Subject: user, Tenants: []string{tenant}, Grants: append(auth.Everything(), grants...), TTL: time.Hour})
	}
	admin := sign("root", "AA", auth.Grant{Action: auth.Admin})
	anna, elsewhere, bert := w.open(sign("anna", "AA")), w.open(sign("anna", "BB")), w.open(sign("bert", "AA"))
	soon := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339)
	if status, body := w.call(http.MethodPost, "/v1/revoke", admin, `{"user":"anna","before":"`+soon+`"}`); status != http.StatusOK || strings.TrimSpace(body) != `{"before":"`+soon+`"}` {
		t.Fatalf("%d %s", status, body)
	}
	if code, _ := anna.closed(); int(code) != fault.TokenRevoked.CloseCode() {
		t.Errorf("closed with %d", code)
	}
	for _, c := range []*window{elsewhere, bert} {
		if f := c.ask(`{"ping":{}}`); f.Pong == nil {
			t.Errorf("somebody else: %+v", f)
		}
	}
	p, err := tokens.Verify(t.Context(), sign("bert", "AA"))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := w.call(http.MethodPost, "/v1/revoke", admin, `{"token_id":"`+p.TokenID+`"}`); status != http.StatusOK {
		t.Errorf("a token: %d %s", status, body)
	}
	for name, c := range map[string]struct {
		token, body string
		code        fault.Code
	}{
		"without the grant":   {sign("root", "AA"), `{"user":"anna"}`, fault.GrantMissing},
		"a token, without":    {sign("root", "AA"), `{"token_id":"x"}`, fault.GrantMissing},
		"of another tenant":   {admin, `{"user":"anna","tenant":"BB"}`, fault.TenantForbidden},
		"nothing":             {admin, `{}`, fault.InvalidRequest},
		"both":                {admin, `{"user":"anna","token_id":"x"}`, fault.InvalidRequest},
		"a token of a moment": {admin, `{"token_id":"x","before":"` + soon + `"}`, fault.InvalidRequest},
		"no moment":           {admin, `{"user":"anna","before":"soon"}`, fault.InvalidRequest},
	} {
		if _, body := w.call(http.MethodPost, "/v1/revoke", c.token, c.body); !strings.Contains(body, `"`+string(c.code)+`"`) {
			t.Errorf("%s: %s", name, body)
		}
	}
}
