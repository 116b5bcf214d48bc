package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		exit int
		text string
	}{
		{"well", nil, 0, ""},
		{"a fault", fmt.Errorf("nats: %w", fault.New(fault.PortInUse, "another process listens there")), 6, "belfry: nats: another process listens there (port_in_use)\n"},
		{"a fault with its cause", fault.Wrap(fault.Unavailable, errors.New("dial tcp: refused"), "NATS does not answer"), 9, "belfry: NATS does not answer: dial tcp: refused (unavailable)\n"},
		{"bad input has no story", fault.Wrap(fault.UsageError, errors.New("inner"), "unknown flag --x"), 2, "belfry: unknown flag --x (usage)\n"},
		{"anything else", errors.New("disk on fire"), 1, "belfry: disk on fire (internal)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			exit := supervise("belfry", func(context.Context) error { return c.err }, nil, &stderr)
			if exit != c.exit || stderr.String() != c.text {
				t.Errorf("exit %d %q, want %d %q", exit, &stderr, c.exit, c.text)
			}
		})
	}
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	if exit := supervise("belfry", func(context.Context) error { panic("oops") }, nil, &stderr); exit != 1 {
		t.Errorf("exit %d", exit)
	}
	if !bytes.HasPrefix(stderr.Bytes(), []byte("belfry: panic: oops: oops\ngoroutine ")) {
		t.Errorf("no stack:\n%s", &stderr)
	}
}

func TestFirstSignalDrains(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	program := func(ctx context.Context) error {
		signals <- syscall.SIGTERM
		<-ctx.Done()
		return nil
	}
	var stderr bytes.Buffer
	if exit := supervise("belfry", program, signals, &stderr); exit != 0 || stderr.Len() > 0 {
		t.Errorf("exit %d %s", exit, &stderr)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	release, ended := make(chan struct{}), make(chan struct{})
	program := func(ctx context.Context) error {
		defer close(ended)
		signals <- os.Interrupt
		<-ctx.Done()
		signals <- os.Interrupt
		<-release // a part that does not stop
		return nil
	}
	var stderr bytes.Buffer
	if exit := supervise("belfry", program, signals, &stderr); exit != exitAtOnce {
		t.Errorf("exit %d", exit)
	}
	if stderr.String() != "belfry: stopped at once (second interrupt)\n" {
		t.Errorf("%q", &stderr)
	}
	close(release)
	<-ended
}
