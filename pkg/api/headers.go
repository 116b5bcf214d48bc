package api

import (
	"net"
	"net/http"
	"strings"
)

// What browsers may do with an answer. An API's is data: whatever it is taken
// for, it may load and run nothing. A page, and only HTML is one, may use its own
// server; pages that need less say so themselves.
const (
	dataPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	pagePolicy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

	contentPolicy = "Content-Security-Policy"
)

// The headers of every answer. Their values are shared by all answers: who wants
// another sets one, and nobody changes these.
var (
	noSniff    = []string{"nosniff"}
	noFrame    = []string{"DENY"} // what frame-ancestors says, for those who do not know it
	noReferrer = []string{"no-referrer"}
	onlyData   = []string{dataPolicy}
)

// secure sets the headers of every answer; a handler may change them. Nothing of
// ours is meant to be framed, guessed at, or named in a Referer, where a token in
// the query would travel.
func secure(h http.Header, r *http.Request) {
	h["X-Content-Type-Options"] = noSniff
	h["X-Frame-Options"] = noFrame
	h["Referrer-Policy"] = noReferrer
	h[contentPolicy] = onlyData
	if r.TLS != nil && isPublic(r.Host) {
		h.Set("Strict-Transport-Security", "max-age=31536000") // a year; other names are not ours to speak for
	}
}

// isPublic says whether a host is a name that browsers may remember to need TLS.
// localhost is everybody's: other programs on this machine serve plain HTTP
// there, on other ports, which the header does not tell apart.
func isPublic(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	return net.ParseIP(host) == nil && host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// settle is called when the headers are about to go: by then it shows whether the
// answer is a page.
func settle(h http.Header) {
	if h.Get(contentPolicy) == dataPolicy && strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		h.Set(contentPolicy, pagePolicy)
	}
}
