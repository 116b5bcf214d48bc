package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// From nothing to ready, with an empty store, and back. The design's figures are
// 150 ms and 1 s.
func BenchmarkStartStop(b *testing.B) {
	var up, down time.Duration
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		ready := &signalled{when: "Things to try", seen: make(chan struct{})}
		done := make(chan error, 1)
		began := time.Now()
		go func() {
			done <- execute(ctx, []string{
				"run", "--data-dir", b.TempDir(), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:0",
			}, stdio{strings.NewReader(""), ready, io.Discard})
		}()
		select {
		case <-ready.seen:
		case err := <-done:
			b.Fatal(err)
		}
		up += time.Since(began)
		began = time.Now()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		down += time.Since(began)
	}
	b.ReportMetric(float64(up.Microseconds())/float64(b.N)/1000, "ready-ms")
	b.ReportMetric(float64(down.Microseconds())/float64(b.N)/1000, "stop-ms")
}

// signalled is a writer that tells when a text has passed.
type signalled struct {
	when string
	seen chan struct{}
}

func (s *signalled) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.when) {
		close(s.seen)
	}
	return len(p), nil
}
