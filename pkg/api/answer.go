package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

type logKey struct{}

// WithLog returns ctx with the logger that WriteError uses. The server does it
// for every request.
func WithLog(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, log)
}

func logOf(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(logKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

// WriteJSON answers v as JSON on one line. A v that cannot be JSON is a defect
// and answers 500.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"code":"internal","message":"internal error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a caller who has left is no concern of ours
}

// WriteError answers err, whatever it is, in the one form errors have. It logs
// the cause of what is our fault; everything else the caller was told.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.From(err)
	if e == nil {
		e = fault.New(fault.Internal, "internal error")
	}
	status := e.Code().HTTPStatus()
	switch e.Code().Kind() {
	case fault.Ours:
		logOf(r.Context()).ErrorContext(r.Context(), "request failed",
			telemetry.KeyMethod, r.Method, telemetry.KeyRoute, r.Pattern, telemetry.Err(err))
	case fault.Unauthenticated: // RFC 6750 §3
		challenge := "Bearer"
		if e.Code() != fault.TokenMissing {
			challenge = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if seconds := retryIn(e); seconds != "" {
		w.Header().Set("Retry-After", seconds)
	}
	Refused(r.Context(), e.Code())
	WriteJSON(w, status, e)
}

// ReadBody reads a whole request body of at most limit bytes. Codes
// event_too_large (413), invalid_request when the body breaks off.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := func() error {
		return fault.Field(fault.EventTooLarge, "body", "is above the maximum of %d bytes", limit)
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "body: breaks off")
	}
	return b, nil
}
