package gateway

import (
	"io"
	"net/http"
	"testing"
)

// SR1: what browsers ask before they connect from another origin.
func TestSR1CORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.AllowedOrigins = []string{"shop.example.com"} }))
	for _, c := range []struct {
		method, path, origin, token string
		status                      int
		allowed                     bool
	}{
		{"OPTIONS", HubPath + "/negotiate", "https://shop.example.com", "", 204, true},
		{"OPTIONS", HubPath, "https://shop.example.com", "", 204, true},
		{"OPTIONS", HubPath, "https://evil.example.com", "", 403, false},
		{"POST", HubPath + "/negotiate", "https://shop.example.com", "", 401, true},
		{"POST", HubPath + "/negotiate", "https://evil.example.com", w.token(), 403, false},
		{"POST", HubPath + "/negotiate", "https://shop.example.com", w.token(), 200, true},
		{"GET", HubPath + "?id=nonsense", "https://shop.example.com", w.token(), 404, true},
		{"DELETE", HubPath, "https://shop.example.com", w.token(), 400, true},
		{"GET", HubPath, "https://evil.example.com", w.token(), 403, false},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), c.method, w.http.URL+c.path, nil)
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Access-Control-Request-Headers", "authorization,x-requested-with,x-signalr-user-agent")
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		h := resp.Header
		allowed := h.Get("Access-Control-Allow-Origin") == c.origin && h.Get("Access-Control-Allow-Credentials") == "true" && h.Get("Vary") == "Origin"
		if resp.StatusCode != c.status || allowed != c.allowed {
			t.Errorf("%s %s from %s: %d %v", c.method, c.path, c.origin, resp.StatusCode, h)
		}
		if c.method == "OPTIONS" && c.allowed && (h.Get("Access-Control-Allow-Methods") != "GET, POST, DELETE" || h.Get("Access-Control-Allow-Headers") != "authorization,x-requested-with,x-signalr-user-agent" || h.Get("Access-Control-Max-Age") != "600") {
			t.Errorf("preflight: %v", h)
		}
	}
}
