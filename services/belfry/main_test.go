package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

func TestMain(m *testing.M) {
	flag.Parse()
	// No test may touch the data of whoever runs it.
	if err := os.Setenv("XDG_DATA_HOME", "/home/anna/.local/share"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// output can be read while a command writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// patience is for one step, on a machine where much else runs.
const patience = time.Minute

// belfry runs one command line to its end.
func belfry(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut output
	err := execute(ctx, args, stdio{strings.NewReader(in), &out, &errOut})
	return out.String(), err
}

// golden compares with testdata/<name>.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// background is a command that runs until it is told to stop.
type background struct {
	out, errOut output
	stop        func() error
}

// spawn runs a command line until the test ends, and returns when its output
// matches; the groups of the match come back.
func spawn(t *testing.T, until string, args ...string) (*background, []string) {
	t.Helper()
	b := &background{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- execute(ctx, args, stdio{strings.NewReader(""), &b.out, &b.errOut}) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = b.stop() })
	match := regexp.MustCompile(until)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if m := match.FindStringSubmatch(b.out.String()); m != nil {
			return b, m
		}
		select {
		case <-tick.C:
		case err := <-done:
			done <- err
			t.Fatalf("belfry %v ended: %v\n%s", args, err, b.errOut.String())
		case <-deadline:
			t.Fatalf("belfry %v: no %q in\n%s%s", args, until, b.out.String(), b.errOut.String())
		}
	}
}
