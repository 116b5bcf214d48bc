package gateway

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// origin wraps a route that pages of foreign origins must be allowed to use.
func (s *Service) origin(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.allowOrigin(w, r) {
			h(w, r)
		}
	}
}

// allowOrigin lets through what is no browser page, a page of our own, or a page
// of an allowed origin, which then may read the answer (CORS). It has answered
// when it returns false. Tokens are never cookies, so a foreign page can do
// nothing without one; this keeps a stolen one from being used by just any page.
func (s *Service) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if u, err := url.Parse(origin); err == nil && strings.EqualFold(u.Host, r.Host) {
		return true
	} else if err == nil && matches(s.config.AllowedOrigins, u) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Expose-Headers", exposed)
		return true
	}
	api.WriteError(w, r, fault.Field(fault.OriginForbidden, "Origin", "%q is not allowed; see gateway.allowed_origins", origin))
	return false
}

// exposed are the headers of an answer that a page of another origin may read:
// what errors say, of ours and of gRPC-Web.
const exposed = "Belfry-Fault, Retry-After, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin"

// matches compares an origin with patterns of path.Match, of its host or, if a
// pattern has a scheme, of the whole origin.
func matches(patterns []string, origin *url.URL) bool {
	for _, p := range patterns {
		text := origin.Host
		if strings.Contains(p, "://") {
			text = origin.Scheme + "://" + origin.Host
		}
		if ok, err := path.Match(strings.ToLower(p), strings.ToLower(text)); err == nil && ok || p == "*" {
			return true
		}
	}
	return false
}

// preflight answers a browser's question whether a page of its origin may call
// us with a token (Fetch §3.2).
func (s *Service) preflight(w http.ResponseWriter, r *http.Request) {
	if !s.allowOrigin(w, r) {
		return
	}
	h := w.Header()
	if h.Get(allowMethods) == "" {
		h.Set(allowMethods, "GET, POST")
	}
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// What a route may set before preflight, to allow more.
const (
	allowMethods     = "Access-Control-Allow-Methods"
	allowCredentials = "Access-Control-Allow-Credentials"
)

// splitList splits a comma-separated header value.
func splitList(v string) []string {
	parts := strings.Split(v, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
