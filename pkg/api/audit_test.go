package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Who was turned away and what an operator did is recorded; what was served or
// simply wrong is not; and no line holds more than it should.
func TestAudit(t *testing.T) {
	t.Parallel()
	var out logged
	anna := &auth.Principal{Issuer: "idp", Subject: "anna", TokenID: "jti-7", Tenants: []string{"AA"}}
	carl := &auth.Principal{Issuer: "idp", Subject: "carl", TokenID: "jti-9", Tenants: []string{"AA", "BB"}}
	mux := http.NewServeMux()
	handle := func(route string, serve func(*http.Request) error) {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(r); err != nil {
				api.WriteError(w, r, err)
			}
		})
	}
	handle("GET /fine", func(r *http.Request) error { api.Identify(r.Context(), anna); return nil })
	handle("GET /wrong", func(*http.Request) error { return fault.Field(fault.InvalidTopic, "topic", "hunter2") })
	handle("GET /ours", func(*http.Request) error { return os.ErrDeadlineExceeded })
	handle("GET /who", func(*http.Request) error { return fault.New(fault.TokenMissing, "a token is required") })
	handle("POST /may/{id}", func(r *http.Request) error {
		api.Identify(r.Context(), anna)
		return anna.Decide(auth.Request{Action: auth.Publish, Tenant: "AA", Topic: "hunter2"})
	})
	handle("GET /often", func(r *http.Request) error {
		api.Identify(r.Context(), carl)
		api.Concerns(r.Context(), "BB")
		return fault.New(fault.RateLimited, "too many calls")
	})
	handle("DELETE /users/{id}", func(r *http.Request) error {
		api.Identify(r.Context(), carl)
		api.Administrative(r.Context())
		return nil
	})
	h := api.Audited(api.NewAuditLog(&out), api.Routes(mux))
	for _, target := range []string{
		"GET /fine", "GET /wrong", "GET /ours", "GET /who", "POST /may/hunter2", "GET /often", "DELETE /users/hunter2", "GET /no/such/hunter2", "PUT /fine",
	} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequest(method, path+"?access_token=hunter2&after=hunter2", strings.NewReader(`{"password":"hunter2"}`))
		r.Header.Set("Authorization", "Bearer hunter2")
		r.Header.Set("X-Forwarded-For", "hunter2")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if text := out.String(); strings.Contains(text, "hunter2") {
		t.Errorf("a secret was recorded:\n%s", text)
	}
	type line struct {
		Audit                              bool
		Time                               string `json:"-"`
		Who, What, Tenant, Outcome, Remote string
		Token                              string `json:"token_id"`
	}
	var got []line
	for text := range strings.Lines(out.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !strings.Contains(text, `"time":"2`) || strings.Contains(text, "level") {
			t.Errorf("%s", text)
		}
		got = append(got, l)
	}
	if diff := cmp.Diff([]line{
		{Audit: true, What: "GET /who", Outcome: "token_missing", Remote: "192.0.2.1"},
		{Audit: true, Who: "idp anna", Token: "jti-7", What: "POST /may/{id}", Tenant: "AA", Outcome: "grant_missing", Remote: "192.0.2.1"},
		{Audit: true, Who: "idp carl", Token: "jti-9", What: "GET /often", Tenant: "BB", Outcome: "rate_limited", Remote: "192.0.2.1"},
		{Audit: true, Who: "idp carl", Token: "jti-9", What: "DELETE /users/{id}", Outcome: "ok", Remote: "192.0.2.1"},
	}, got); diff != "" {
		t.Error(diff)
	}
	var none *api.AuditLog
	none.Record(t.Context(), api.Entry{Admin: true})
}

// A rotated file goes on as a new one of the same name.
func TestAuditFileIsRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	out, log := newLog()
	f, err := api.OpenAuditFile(path, log)
	if err != nil {
		t.Fatal(err)
	}
	put := func(line string) {
		t.Helper()
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	put("1\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put("2\n")
	put("3\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	put("4\n")
	for name, want := range map[string]string{path + ".1": "1\n", path: "4\n"} {
		b, err := os.ReadFile(name)
		info, statErr := os.Stat(name)
		if err != nil || statErr != nil || string(b) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	// A folder in its place: said once, not for every line.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.Write([]byte("5\n")); err == nil {
			t.Error("written into a folder")
		}
	}
	if n := strings.Count(out.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times", n)
	}
	_ = f.Close()
	if _, err := api.OpenAuditFile(path, log); fault.CodeOf(err) != fault.InvalidConfig || !strings.HasPrefix(err.Error(), "audit.file: ") {
		t.Errorf("a folder: %v", err)
	}
}
