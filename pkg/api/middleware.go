package api

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Wrap is what every request goes through before its handler: a panic answers
// 500 and is logged, the trace context is taken from the headers, answers carry
// security headers, and the access log gets a line at debug level. The log knows
// the route and never the query, which may hold a token.
func Wrap(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := telemetry.ExtractHTTP(WithLog(r.Context(), log), r.Header)
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w, conn: http.NewResponseController(w)}
		secure(rec.Header(), r)
		withPatience(rec, r)
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(v)
				}
				log.ErrorContext(ctx, "panic in handler", telemetry.KeyMethod, r.Method, telemetry.KeyRoute, r.Pattern,
					telemetry.KeyErr, fmt.Sprint(v), "stack", string(debug.Stack()))
				if rec.status == 0 {
					WriteJSON(rec, http.StatusInternalServerError, fault.New(fault.Internal, "internal error"))
				}
			}
			if log.Enabled(ctx, slog.LevelDebug) {
				log.DebugContext(ctx, "request", telemetry.KeyMethod, r.Method, telemetry.KeyRoute, r.Pattern,
					telemetry.KeyStatus, rec.status, telemetry.KeyBytes, rec.bytes, telemetry.KeyDuration, time.Since(began))
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// Routes serves mux, and answers what it has no route for in our form of errors:
// not_found, or method_not_allowed with the header Allow.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r) // again, because only it sets path values
			return
		}
		// The mux's own answer tells the two cases apart.
		probe := &probe{header: http.Header{}}
		h.ServeHTTP(probe, r)
		// A preflight is answered for a whole tree of paths, whether or not they are routes.
		if allow := probe.header.Get("Allow"); probe.status == http.StatusMethodNotAllowed && allow != http.MethodOptions {
			w.Header().Set("Allow", allow)
			WriteError(w, r, fault.New(fault.MethodNotAllowed, "%s is not a method of this route; it has %s", r.Method, allow))
			return
		}
		WriteError(w, r, fault.New(fault.NotFound, "there is no such route"))
	})
}

// Gate answers closed's error instead of calling next while there is one: not
// serving yet, or no longer.
func Gate(closed func(*http.Request) error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := closed(r); err != nil {
			w.Header().Set("Connection", "close") // and come back to another replica
			WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recorder remembers status and size for the log. It stays out of the way of
// flushing and hijacking.
type recorder struct {
	http.ResponseWriter
	conn    *http.ResponseController // of ResponseWriter
	status  int
	bytes   int64
	streams bool // the handler sets its own deadlines
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		settle(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
		settle(w.Header())
	}
	if !w.streams && w.bytes+int64(len(b)) > buffered {
		_ = w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		defer func() { _ = w.conn.SetWriteDeadline(time.Time{}) }()
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController; Flush and Hijack for those who ask
// with a type assertion.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetWriteDeadline is for http.ResponseController: a handler that streams knows
// better than we how long a write may take.
func (w *recorder) SetWriteDeadline(at time.Time) error {
	w.streams = true
	return w.conn.SetWriteDeadline(at)
}

// Flush implements http.Flusher.
func (w *recorder) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// probe takes an answer to look at.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
