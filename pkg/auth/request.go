package auth

import (
	"net/http"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
)

// QueryToken is the query parameter that may carry a token where a browser
// cannot set headers (WebSocket, EventSource). It is never logged.
const QueryToken = "access_token"

// FromRequest finds the token of an HTTP request: header "Authorization: Bearer
// <token>" (RFC 6750), else, if allowQuery, the query parameter access_token.
// Code token_missing when there is none; the token is not verified here.
func FromRequest(r *http.Request, allowQuery bool) (string, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		return FromHeader(h)
	}
	if allowQuery {
		if t := r.URL.Query().Get(QueryToken); t != "" {
			return t, nil
		}
		return "", fault.New(fault.TokenMissing, "a token is required: header Authorization: Bearer <token>, or query %s", QueryToken)
	}
	return "", fault.New(fault.TokenMissing, "a token is required: header Authorization: Bearer <token>")
}

// FromHeader reads the value of an Authorization header, of HTTP or NATS; the
// scheme is compared ignoring case. Code token_missing.
func FromHeader(value string) (string, error) {
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fault.New(fault.TokenMissing, "header Authorization: must be Bearer <token>")
	}
	return token, nil
}
