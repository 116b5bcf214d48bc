package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
)

// finding is what one look of the doctor says.
type finding struct {
	name  string
	state string // ok, note (nothing wrong, worth knowing), bad
	text  string
	do    string // what to do about it; "" if nothing
	err   error  // why it is bad
}

const (
	stateOK   = "ok"
	stateNote = "note"
	stateBad  = "BAD"
)

func ok(name, format string, args ...any) finding {
	return finding{name: name, state: stateOK, text: fmt.Sprintf(format, args...)}
}

func note(name, do, format string, args ...any) finding {
	return finding{name: name, state: stateNote, text: fmt.Sprintf(format, args...), do: do}
}

func bad(name, do string, err error) finding {
	return finding{name: name, state: stateBad, text: err.Error(), do: do, err: err}
}

// doctorWithin bounds each look.
const doctorWithin = 3 * time.Second

func newDoctor(std stdio) *cobra.Command {
	s := newSettings()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that may be wrong, and say what to do",
		Long: `Look at settings, data directory, ports, NATS, the log and the clock, whether
something runs or not. Nothing is changed. The exit code is 0 unless something is BAD.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := []finding{}
			if _, values, err := s.load(cmd); err != nil {
				findings = append(findings, bad("settings", "correct it; belfry config shows all settings", err))
			} else {
				findings = append(findings, s.lookAtSettings(values))
				for _, look := range []func(context.Context) []finding{s.lookAtDisk, s.lookAtPorts, s.lookAtNATS} {
					ctx, cancel := context.WithTimeout(cmd.Context(), doctorWithin)
					findings = append(findings, look(ctx)...)
					cancel()
				}
			}
			return printFindings(std.out, findings)
		},
	}
	cmd.AddCommand(newPermissions(std))
	s.flags(cmd.Flags(), "http", "admin", "nats", "nats-url", "nats-user", "nats-password-file", "nats-creds", "data-dir")
	return cmd
}

// printFindings writes the table. Its error is that of the first that is bad, so
// that scripts see its code.
func printFindings(out io.Writer, findings []finding) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	var first error
	for _, f := range findings {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", f.state, f.name, f.text)
		if f.do != "" {
			_, _ = fmt.Fprintf(t, "\t\t→ %s\n", f.do)
		}
		if first == nil && f.err != nil {
			first = fault.Wrap(fault.CodeOf(f.err), f.err, "%s is not well", f.name)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return first
}
