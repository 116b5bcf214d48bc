package telemetry

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Keys of log attributes and, where they make sense, of span attributes. Every
// hop of an event logs and traces KeyEventID and KeySubject. Payloads, tokens
// and addresses have no key: they are not logged.
const (
	KeyEventID    = "event_id"
	KeySubject    = "subject"
	KeyTenant     = "tenant"
	KeyTopic      = "topic"
	KeyVerb       = "verb"
	KeyCursor     = "cursor"
	KeyStream     = "stream"
	KeyConsumer   = "consumer"
	KeySequence   = "sequence"
	KeyConnection = "connection"
	KeyUser       = "user"
	KeyPart       = "part"
	KeyCode       = "code"
	KeyErr        = "err"
	KeyCount      = "count"
	KeyDuration   = "duration"
	KeyMethod     = "method"
	KeyRoute      = "route"
	KeyStatus     = "status"
	KeyBytes      = "bytes"
)

// LogOptions configures NewLogger.
type LogOptions struct {
	Level  string    // debug, info (default), warn, error
	Format string    // text, json; auto (default) = text if Writer is a terminal
	Writer io.Writer // default os.Stderr
}

// NewLogger makes the process's logger. Code invalid_config, naming log.level or
// log.format.
func NewLogger(o LogOptions) (*slog.Logger, error) {
	if o.Writer == nil {
		o.Writer = os.Stderr
	}
	var level slog.Level
	if o.Level != "" {
		if err := level.UnmarshalText([]byte(o.Level)); err != nil {
			return nil, fault.Field(fault.InvalidConfig, "log.level", "%q is not one of debug, info, warn, error", o.Level)
		}
	}
	h := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	switch {
	case o.Format == "json", (o.Format == "" || o.Format == "auto") && !isTerminal(o.Writer):
		return slog.New(slog.NewJSONHandler(o.Writer, h)), nil
	case o.Format == "text", o.Format == "", o.Format == "auto":
		return slog.New(slog.NewTextHandler(o.Writer, h)), nil
	}
	return nil, fault.Field(fault.InvalidConfig, "log.format", "%q is not one of auto, text, json", o.Format)
}

// readable writes durations as "21.4ms" in JSON as well, where slog would write
// nanoseconds without saying so.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(10 * time.Microsecond).String())
	}
	return a
}

// isTerminal is near enough: a character device is a terminal, or /dev/null,
// where the format does not matter.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Err is the attribute of an error; it shows causes that callers must not see.
func Err(err error) slog.Attr {
	e := fault.From(err)
	if e == nil {
		return slog.Attr{}
	}
	text := err.Error()
	// A fault hides its cause in its own text. Here it belongs.
	if cause := e.Unwrap(); cause != nil && cause.Error() != text {
		text += ": " + cause.Error()
	}
	return slog.String(KeyErr, text)
}
