package api_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/belfry-events/belfry/pkg/api"
)

// Every answer has them, whoever gives it and however.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	const data, page = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, _ *http.Request) { api.WriteJSON(w, 200, 1) })
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<p>")
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("GET /guessed", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	mux.HandleFunc("GET /own", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "sandbox")
		w.WriteHeader(200)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("no paper") })
	h := api.Wrap(api.Routes(mux), slog.New(slog.DiscardHandler))
	for path, policy := range map[string]string{
		"/json": data, "/page": page, "/status": data, "/guessed": data, "/own": "sandbox", "/panic": data, "/none": data,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": policy, "Strict-Transport-Security": "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
	}
}

// Only names that are ours alone, and only over TLS, are told to stay with it.
func TestStrictTransport(t *testing.T) {
	t.Parallel()
	h := api.Wrap(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	for host, want := range map[string]bool{
		"belfry.example": true, "belfry.example:8443": true, "localhost": false, "localhost:8443": false, "LOCALHOST:1": false,
		"app.localhost": false, "127.0.0.1:8443": false, "[::1]:8443": false,
	} {
		for _, secure := range []bool{true, false} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = host
			if secure {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Strict-Transport-Security") != ""; got != (want && secure) {
				t.Errorf("%s, TLS %t: %t", host, secure, got)
			}
		}
	}
}
