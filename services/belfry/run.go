package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

func newRun(std stdio) *cobra.Command {
	s := newSettings()
	var names []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run everything in one process",
		Long: `Run all services in one process, with a NATS server inside that keeps the events.

It listens on this machine only. Ctrl-C stops it in order; a second one at once.
With --nats-url it uses that NATS server or cluster instead of its own.

Every setting can also be an environment variable or a line in a file;
"belfry config" lists them all.`,
		Example: `  belfry run
  belfry run --data-dir ./data --http 127.0.0.1:9000
  belfry run --only gateway --nats-url nats://nats:4222 --nats-creds gateway.creds
  belfry run --sync always                   # lose nothing when the power fails
  belfry run --set gateway.queue_bytes=4MiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			parts, err := only(s.parts(), names)
			if err != nil {
				return err
			}
			log, _, err := s.load(cmd)
			if err != nil {
				return err
			}
			p, err := process.New(process.Options{
				Name: "belfry", Config: s.process, Parts: parts, Embed: embedded, Log: log,
				OnReady: func(a process.Addresses) {
					b := banner{Addresses: a, config: s.process, parts: partNames(parts), took: time.Since(began)}
					b.print(std.out)
				},
			})
			if err != nil {
				return err
			}
			err = p.Run(cmd.Context())
			if code := fault.CodeOf(err); code == fault.PortInUse || code == fault.DataDirInUse {
				return fault.Wrap(code, err, "%s (is belfry running already? belfry doctor says)", err)
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&names, "only", nil, "run only these `parts`, separated by commas: "+strings.Join(partNames(s.parts()), ", "))
	s.flags(cmd.Flags())
	return cmd
}
