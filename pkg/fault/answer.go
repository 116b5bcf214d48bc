package fault

import (
	"encoding/json"
	"strconv"
)

// Headers of a NATS reply that is an error; the first two are those that NATS
// services (ADR-32) already use.
const (
	HeaderCode  = "Nats-Service-Error-Code" // the HTTP status as text
	HeaderError = "Nats-Service-Error"      // "<code>: <message>"
	HeaderFault = "Belfry-Fault"            // the code alone
)

// SetHeader writes e as the headers of a NATS reply; set is a Header's Set.
func (e *Error) SetHeader(set func(key, value string)) {
	set(HeaderCode, strconv.Itoa(e.code.HTTPStatus()))
	set(HeaderError, string(e.code)+": "+e.message)
	set(HeaderFault, string(e.code))
}

// body is the JSON of an error in every answer and frame.
type body struct {
	Code    Code              `json:"code"`
	Message string            `json:"message"`
	Details map[string]string `json:"details,omitempty"`
}

// MarshalJSON is {"code","message","details"}; details only if there are any.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(body{e.code, e.message, e.details})
}

// UnmarshalJSON reads what MarshalJSON wrote. A code this version does not
// know is kept and counts as internal.
func (e *Error) UnmarshalJSON(b []byte) error {
	var v body
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*e = Error{code: v.Code, message: v.Message, details: v.Details}
	return nil
}
