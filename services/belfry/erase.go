package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/mailbox"
)

func newErase(std stdio) *cobra.Command {
	s := newSettings()
	var o mailbox.EraseOptions
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Erase a person's events, from the log and from mailboxes",
		Long: `Erase the events of a tenant that are for a user (recipient), by the user (senderuser,
or the actor of a change), or about the user (topic users). They are taken out of the
log and out of every mailbox, and their bytes are overwritten on the disk, which takes
some milliseconds for each. What partners have confirmed, they must erase themselves.

It connects as a service: with the password in the data directory of "belfry run",
or with the credentials for nats.url. It may be repeated; look first with --dry-run.`,
		Example: `  belfry erase --tenant AA --user jan --dry-run
  belfry erase --tenant AA --user jan`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Tenant == "" || o.User == "" {
				return fault.New(fault.UsageError, "--tenant and --user are required: whose events?")
			}
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			nc, err := s.dialService()
			if err != nil {
				return err
			}
			defer nc.Close()
			done, err := mailbox.Erase(cmd.Context(), nc, o)
			what := "erased"
			if o.DryRun {
				what = "would erase"
			}
			if err != nil {
				what = "broke off; erased so far"
			}
			if _, printErr := fmt.Fprintf(std.out, "%s %s\n", what, done); err == nil {
				err = printErr
			}
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Tenant, "tenant", "", "of which `tenant`")
	fs.StringVar(&o.User, "user", "", "whose events")
	fs.BoolVar(&o.DryRun, "dry-run", false, "only count")
	s.flags(fs, "nats", "nats-url", "nats-user", "nats-password-file", "nats-creds", "data-dir")
	return cmd
}
