package gateway

import (
	"net/url"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
)

// codeSet is which real-time events a connection wants: a bit for each code of the
// contract, and one for all that are not in it.
type codeSet uint16

var (
	codes     = realtime.Codes()
	otherCode = len(codes)
	allCodes  = codeSet(1)<<(len(codes)+1) - 1
)

// kinds is how many kinds of real-time events are counted apart.
const kinds = 16

// kindOf is the bit of a code, compared ignoring case.
func kindOf(code string) int {
	for i, c := range codes {
		if strings.EqualFold(c, code) {
			return i
		}
	}
	return otherCode
}

func (s codeSet) has(kind int) bool { return s&(1<<kind) != 0 }

// names are the codes of a set that is not everything.
func (s codeSet) names() (names []string) {
	if s == allCodes {
		return nil
	}
	for i, c := range codes {
		if s.has(i) {
			names = append(names, c)
		}
	}
	return names
}

// narrow is the set of what a client names; nothing named is everything. Codes
// unknown_name, invalid_request.
func narrow(names []string, none bool) (codeSet, error) {
	switch {
	case none && len(names) > 0:
		return 0, fault.Field(fault.InvalidRequest, "none", "excludes codes; send either")
	case none:
		return 0, nil
	case len(names) == 0:
		return allCodes, nil
	}
	var s codeSet
	for _, name := range names {
		code, err := realtime.Code(name)
		if err != nil {
			return 0, err
		}
		s |= 1 << kindOf(code)
	}
	return s, nil
}

// noCodes is the value of the query parameter code that wants none.
const noCodes = "none"

// narrowQuery reads ?code=MAIL&code=NOT, and ?code=none.
func narrowQuery(q url.Values) (codeSet, error) {
	names := q["code"]
	if len(names) == 1 && names[0] == noCodes {
		return 0, nil
	}
	return narrow(names, false)
}
