package gateway

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// What the query of a window or a stream may have, and which of it more than once.
var (
	ofWindows = []string{"code", tokenParameter}
	ofStreams = []string{"tenant", "topic", "verb", "name", "code", "after", tokenParameter}
	repeated  = []string{"topic", "verb", "name", "code"}
)

// tokenParameter is the token's, for browsers, which cannot set headers here.
const tokenParameter = "access_token"

// query reads a request's query and refuses what it does not know or cannot read:
// left out, a misspelt filter would mean everything. Code invalid_request.
func query(r *http.Request, known []string) (url.Values, error) {
	q, err := api.Query(r)
	if err != nil {
		return nil, err
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return nil, fault.Field(fault.InvalidRequest, name, "is no parameter of this route; it has %v", known)
		case len(values) > 1 && !slices.Contains(repeated, name):
			return nil, fault.Field(fault.InvalidRequest, name, "may be given once")
		}
	}
	return q, nil
}
