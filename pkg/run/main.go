package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/belfry-events/belfry/pkg/fault"
)

// exitAtOnce is the exit code after a second signal: 128 + SIGINT, as in shells.
const exitAtOnce = 130

// Main runs a program and returns its exit code, for os.Exit. The first SIGINT or
// SIGTERM cancels ctx, which asks for an orderly stop; at the second Main returns
// without waiting. An error is printed to stderr as "<name>: <message> (<code>)";
// its code decides the exit code (package fault).
func Main(name string, program func(ctx context.Context) error) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return supervise(name, program, signals, os.Stderr)
}

func supervise(name string, program func(context.Context) error, signals <-chan os.Signal, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guard(func() error { return program(ctx) }) }()
	for {
		select {
		case err := <-done:
			return report(name, err, stderr)
		case s := <-signals:
			if ctx.Err() != nil {
				_, _ = fmt.Fprintf(stderr, "%s: stopped at once (second %s)\n", name, s)
				return exitAtOnce
			}
			cancel()
		}
	}
}

// report prints an error and gives its exit code. The person at the terminal is
// the operator, who may see causes, unless the error has said them already.
func report(name string, err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	e := fault.From(err)
	text := err.Error()
	if cause := e.Unwrap(); cause != nil && e.Code().Kind() != fault.Invalid && !strings.Contains(text, cause.Error()) {
		text += ": " + cause.Error()
	}
	_, _ = fmt.Fprintf(stderr, "%s: %s (%s)\n", name, text, e.Code())
	return e.Code().ExitCode()
}
