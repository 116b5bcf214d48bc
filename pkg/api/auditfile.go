package api

import (
	"log/slog"
	"os"
	"sync"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// AuditFile appends lines to a file. Whoever rotates it may rename or truncate
// it: the next line goes into a new file of the old name. Safe for concurrent
// use.
type AuditFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	file   *os.File
	failed bool // said already
}

// OpenAuditFile makes the file if there is none, for its owner only. log is told
// when lines cannot be written any more. Code invalid_config, naming audit.file.
func OpenAuditFile(path string, log *slog.Logger) (*AuditFile, error) {
	f := &AuditFile{path: path, log: log}
	if err := f.open(); err != nil {
		return nil, fault.Wrap(fault.InvalidConfig, err, "audit.file: %s", err).With("field", "audit.file")
	}
	return f, nil
}

func (f *AuditFile) open() (err error) {
	f.file, err = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return err
}

// Write implements io.Writer.
func (f *AuditFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.write(line)
	if err != nil && !f.failed {
		f.log.Error("audit log cannot be written", telemetry.Err(err))
	}
	f.failed = err != nil
	return n, err
}

func (f *AuditFile) write(line []byte) (int, error) {
	if !f.there() {
		if f.file != nil {
			_ = f.file.Close() // it was renamed; everything in it is written
		}
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	return f.file.Write(line)
}

// there says whether the open file is the one of that name.
func (f *AuditFile) there() bool {
	if f.file == nil {
		return false
	}
	open, err := f.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.path)
	return err == nil && os.SameFile(open, named)
}

// Close closes the file; a line after it opens it again.
func (f *AuditFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
