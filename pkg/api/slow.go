package api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Slow clients. There is no limit on how long a request may take, because a long
// poll takes 90 s and a stream for ever; what has a limit is every step in which
// we wait for the client alone:
//
//	headers      readHeaderTimeout, by net/http
//	body         bodyTimeout, and a second more per bodyRate bytes
//	answer       writeTimeout per write; streams set their own
//	next request idleTimeout, by net/http
const (
	bodyTimeout  = 30 * time.Second
	bodyRate     = 16 << 10 // bytes per second: a modem of 1998 is faster
	writeTimeout = 30 * time.Second
	// buffered is how long an answer may be before a write can have to wait: net/http
	// collects that much, and sends it when the handler is done.
	buffered = 2 << 10
)

// patientBody is a request body that has to arrive at a rate. The deadline is
// lifted when all of it is there, because net/http goes on reading then, to notice
// who leaves. It stays when it is not: before its answer net/http reads what the
// handler left, and would wait for that as long as it takes.
type patientBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	began time.Time
	bytes int64
	over  bool
	at    time.Time // the deadline
}

// withPatience bounds the reading of r's body.
func withPatience(w *recorder, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b := &patientBody{ReadCloser: r.Body, conn: w.conn, began: time.Now()}
	b.until(b.began.Add(bodyTimeout))
	r.Body = b
}

// Read implements io.Reader. Too slow a body ends with os.ErrDeadlineExceeded.
func (b *patientBody) Read(p []byte) (int, error) {
	if !b.over {
		b.until(b.began.Add(bodyTimeout + time.Duration(b.bytes/bodyRate)*time.Second))
	}
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	if err != nil && !b.over {
		b.over = true
		if errors.Is(err, io.EOF) {
			b.until(time.Time{})
		}
	}
	return n, err
}

// until sets the deadline, if it is another. Where there is none to set, in tests,
// there is nobody to wait for.
func (b *patientBody) until(at time.Time) {
	if at != b.at {
		b.at = at
		_ = b.conn.SetReadDeadline(at)
	}
}
