package embed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog routes the server's own log lines into slog. Its notices are many
// and formatted, so they are debug lines here; the text is an attribute.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex
	fatal string // the last fatal line: why Start did not succeed
}

func (l *serverLog) line(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats server", "line", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.line(slog.LevelWarn, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }

// Warnf passes warnings on, but for one about our own configuration, which is no
// news to an operator: the service password is random, in memory only, and a hash
// of it would make every connection cost tens of milliseconds.
func (l *serverLog) Warnf(format string, v ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "Plaintext passwords detected") {
		level = slog.LevelDebug
	}
	l.line(level, format, v)
}

// Fatalf keeps the line: the server does not end the process, we report it.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.fatal = fmt.Sprintf(format, v...)
	l.mu.Unlock()
	l.line(slog.LevelError, format, v)
}

func (l *serverLog) died() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
