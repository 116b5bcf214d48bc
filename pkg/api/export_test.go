package api

// Remembered is how many callers have a bucket.
func (l *Limits) Remembered() int {
	l.principals.mu.Lock()
	defer l.principals.mu.Unlock()
	return len(l.principals.full)
}
