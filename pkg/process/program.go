package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Program is a binary that runs services and nothing else: bin/gateway.
type Program struct {
	Name     string
	About    string // one line for --help
	Settings any    // pointer to the services' Config, filled before a part is made
	Parts    []Part
}

// Main runs the program with the process's arguments and signals, and returns the
// exit code.
func (p Program) Main() int {
	return run.Main(p.Name, func(ctx context.Context) error {
		return p.Execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	})
}

// Execute runs the program with these arguments. Codes usage, and those of
// configuration and of New.
func (p Program) Execute(ctx context.Context, args []string, out, errOut io.Writer) error {
	c := Default()
	fs := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
	fs.SortFlags = false
	AddFlags(fs, &c, p.Settings)
	for _, name := range []string{"nats", "sync"} { // of a server this program has not
		_ = fs.MarkHidden(name)
	}
	version := fs.Bool("version", false, "print the version")
	fs.Usage = func() {
		_, _ = fmt.Fprintf(out, "%s\n\nUsage:\n  %s --nats-url nats://… [flags]\n\nFlags:\n%s", p.About, p.Name, fs.FlagUsages())
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return fault.New(fault.UsageError, "%s; see %s --help", err, p.Name)
	case fs.NArg() > 0:
		return fault.New(fault.UsageError, "unexpected argument %q; see %s --help", fs.Arg(0), p.Name)
	case *version:
		_, err := fmt.Fprintln(out, p.Name, Version())
		return err
	}
	log, _, err := Load(fs, errOut, &c, p.Settings)
	if err != nil {
		return err
	}
	proc, err := New(Options{Name: p.Name, Config: c, Parts: p.Parts, Log: log})
	if err != nil {
		return err
	}
	return proc.Run(ctx)
}

// configFlag names the file that settings are read from.
const configFlag = "config"

// AddFlags adds --config and the flags of c and of the services' settings.
func AddFlags(fs *pflag.FlagSet, c *Config, settings ...any) {
	fs.String(configFlag, "", "YAML `file` with settings; see belfry config")
	config.AddFlags(fs, append([]any{c}, settings...)...)
}

// Load fills c and the services' settings from file, environment and flags, and
// makes the logger they ask for, which writes to errOut.
func Load(fs *pflag.FlagSet, errOut io.Writer, c *Config, settings ...any) (*slog.Logger, *config.Values, error) {
	file, err := fs.GetString(configFlag)
	if err != nil {
		return nil, nil, fmt.Errorf("read flag --%s: %w", configFlag, err)
	}
	values, err := config.Load(config.Options{File: file, Flags: fs}, append([]any{c}, settings...)...)
	if err != nil {
		return nil, nil, err
	}
	log, err := telemetry.NewLogger(telemetry.LogOptions{Level: c.LogLevel, Format: c.LogFormat, Writer: errOut})
	if err != nil {
		return nil, nil, err
	}
	for _, w := range values.Warnings {
		log.Warn("configuration", telemetry.KeyErr, w)
	}
	return log, values, nil
}
