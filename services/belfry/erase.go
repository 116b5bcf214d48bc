package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/mailbox"
	"github.com/belfry-events/belfry/services/objectevent"
	"github.com/belfry-events/belfry/services/scheduler"
)

func newErase(std stdio) *cobra.Command {
	s := newSettings()
	var o mailbox.EraseOptions
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Erase a person: events, what waits in mailboxes, verdicts, schedules",
		Long: `Erase the events of a tenant that are for a user (recipient), by the user (senderuser,
or the actor of a change), or about the user (topic users), and alerts about such
changes. They are taken out of the log, of every mailbox, and of what was given up;
so are verdicts of hooks that the user asked for, or that are about the user. Schedules
that remind the user, or publish about the user, are deleted with their histories.
Bytes are overwritten on the disk, which takes some milliseconds for each.

It does not know what else may name a person: texts and data of other events, of
schedules and of alert rules. Who has made a schedule, a hook, a rule or a subscriber
stays with it until it is deleted. That an operation was done, that a deletion was asked
about, and where an object is, is kept by the object's id alone, and goes by itself:
after 14 days, 7 days, and 30 days after the object has left the trash. What partners
have confirmed, they must erase themselves.

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
			done, err := eraseAll(cmd.Context(), nc, o)
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

// erased is what every service removed.
type erased struct {
	mailbox   mailbox.Erased
	verdicts  int
	schedules scheduler.Erased
}

// eraseAll lets every service erase what it keeps: what would write more of the
// person first.
func eraseAll(ctx context.Context, nc *nats.Conn, o mailbox.EraseOptions) (done erased, err error) {
	if done.schedules, err = scheduler.Erase(ctx, nc, o.Tenant, o.User, o.DryRun); err != nil {
		return done, err
	}
	if done.verdicts, err = objectevent.Erase(ctx, nc, o.Tenant, o.User, o.DryRun); err != nil {
		return done, err
	}
	done.mailbox, err = mailbox.Erase(ctx, nc, o)
	return done, err
}

// String says it for people.
func (e erased) String() string {
	return fmt.Sprintf("%s, %d verdicts, %d schedules, %d entries of their histories", e.mailbox, e.verdicts, e.schedules.Schedules, e.schedules.Entries)
}
