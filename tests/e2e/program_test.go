package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// program is one running process of ours.
type program struct {
	cmd   *exec.Cmd
	admin string // base URL
	out   *output
	done  chan struct{} // closed when it has ended
}

// output collects what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a program and waits until it is ready. It is ended with the test.
func start(t *testing.T, name, admin string, args ...string) *program {
	t.Helper()
	p := &program{out: &output{}, admin: "http://" + admin, done: make(chan struct{})}
	// Not bound to the test's context: the clean-up ends it in order.
	p.cmd = exec.Command(filepath.Join(bin, name), args...)
	p.cmd.Env = environment(t)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.out)
		}
	})
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	bustest.Eventually(t, patience, name+" is ready", func() bool {
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s", name, p.out)
		default:
		}
		r, err := client.Get(p.admin + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// end sends a signal and waits for the end.
func (p *program) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("still running %s after %s", patience, s)
		_ = p.cmd.Process.Kill() // already failed
		<-p.done
	}
}

// environment is ours without any setting of Belfry's, with a home of its own,
// and impatient about sending traces.
func environment(t *testing.T) []string {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "OTEL_BSP_SCHEDULE_DELAY=100"}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "BELFRY_") && name != "HOME" && name != "XDG_DATA_HOME" {
			env = append(env, v)
		}
	}
	return env
}

// command runs a program to its end.
func command(t *testing.T, name string, args ...string) (out string, code int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = environment(t)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}
