package fault

import (
	"net/http"

	"connectrpc.com/connect"
)

// Kind is the sort of trouble. The set is closed; codes refine it.
type Kind uint8

// The kinds, as their text on the wire.
const (
	Ours            Kind = iota // "internal": a defect of ours
	Invalid                     // "invalid"
	Unauthenticated             // "unauthenticated"
	Forbidden                   // "forbidden"
	Missing                     // "not_found"
	Conflicting                 // "conflict"
	Gone                        // "gone"
	Exhausted                   // "exhausted"
	Down                        // "unavailable": worth trying again
)

// kinds says what each kind is at each edge. Exit codes are small and stable,
// so that scripts may tell a typo (2) from a server that is not up (9).
var kinds = [...]struct {
	text    string
	status  int
	connect connect.Code
	exit    int
}{
	Ours:            {"internal", http.StatusInternalServerError, connect.CodeInternal, 1},
	Invalid:         {"invalid", http.StatusBadRequest, connect.CodeInvalidArgument, 2},
	Unauthenticated: {"unauthenticated", http.StatusUnauthorized, connect.CodeUnauthenticated, 3},
	Forbidden:       {"forbidden", http.StatusForbidden, connect.CodePermissionDenied, 4},
	Missing:         {"not_found", http.StatusNotFound, connect.CodeNotFound, 5},
	Conflicting:     {"conflict", http.StatusConflict, connect.CodeFailedPrecondition, 6},
	Gone:            {"gone", http.StatusGone, connect.CodeOutOfRange, 7},
	Exhausted:       {"exhausted", http.StatusTooManyRequests, connect.CodeResourceExhausted, 8},
	Down:            {"unavailable", http.StatusServiceUnavailable, connect.CodeUnavailable, 9},
}

// String is the kind's text on the wire.
func (k Kind) String() string { return kinds[k].text }
