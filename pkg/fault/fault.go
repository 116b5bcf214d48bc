package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"connectrpc.com/connect"
)

// Error is a fault. Its Error text is for people and safe to show to the
// caller; the cause is not, and only Unwrap reaches it.
type Error struct {
	code    Code
	message string
	details map[string]string
	cause   error
}

// New makes a fault. The message names the field and the rule it breaks, in
// lower case: "limit: 5000 is above the maximum of 1000".
func New(code Code, format string, args ...any) *Error {
	return &Error{code: code, message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault that keeps its cause for logs and errors.Is. The cause's
// text is not shown to callers.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.cause = cause
	return e
}

// Field is New with details["field"] set, so that a program can point at the
// input that is wrong. The message is "<field>: <rule>".
func Field(code Code, field, format string, args ...any) *Error {
	return New(code, field+": "+format, args...).With("field", field)
}

// InField is err told about the field as its caller spells it, where a check of one
// name serves requests that have another: "tenant" is the "compCode" of a mailbox
// call. What is not about a field stays as it is.
func InField(err error, field string) error {
	var e *Error
	if !errors.As(err, &e) || e.details["field"] == "" {
		return err
	}
	c := e.With("field", field)
	c.message = field + ": " + strings.TrimPrefix(c.message, e.details["field"]+": ")
	return c
}

// With returns a copy of e with one more detail.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.details = maps.Clone(e.details)
	if c.details == nil {
		c.details = map[string]string{}
	}
	c.details[key] = value
	return &c
}

// Error is the public text.
func (e *Error) Error() string { return e.message }

// Unwrap is the cause, if any.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, fault.CursorGone.Err()) compare codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.message == "" && t.code == e.code
}

// Err is a value for errors.Is that matches every fault of this code.
func (c Code) Err() error { return &Error{code: c} }

// Kind is the code's kind.
func (c Code) Kind() Kind { return table[c].kind }

// HTTPStatus is the status an HTTP answer of this code has.
func (c Code) HTTPStatus() int {
	if s := table[c].status; s != 0 {
		return s
	}
	return kinds[c.Kind()].status
}

// ConnectCode is the Connect and gRPC code.
func (c Code) ConnectCode() connect.Code { return kinds[c.Kind()].connect }

// CloseCode is the WebSocket close code: 4000–4499 reconnect, 4500–4999 do not.
func (c Code) CloseCode() int {
	if r, ok := table[c]; ok {
		return r.close
	}
	return table[Internal].close
}

// Reconnects says whether a client that was closed with this WebSocket close
// code should come back and resume.
func Reconnects(closeCode int) bool { return closeCode < 4500 }

// ExitCode is the process exit code of this fault's kind, 1 to 9.
func (c Code) ExitCode() int { return kinds[c.Kind()].exit }

// Code is the stable code.
func (e *Error) Code() Code { return e.code }

// Details are the machine-readable extras, such as "field". May be nil.
func (e *Error) Details() map[string]string { return e.details }

// From finds the fault in err's chain. An error without one is internal: its
// text stays inside. A nil err gives nil; a deadline or cancel is unavailable.
func From(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Wrap(Unavailable, err, "the call did not finish in time")
	}
	return Wrap(Internal, err, "internal error")
}

// CodeOf is From(err).Code(), and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return From(err).code
}
