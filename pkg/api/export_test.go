package api

import "net/http"

// Remembered is how many callers have a bucket.
func (l *Limits) Remembered() int {
	l.principals.mu.Lock()
	defer l.principals.mu.Unlock()
	return len(l.principals.full)
}

// HTTP is the server itself, to be served over connections in memory.
func (s *Server) HTTP() *http.Server { return &s.http }
