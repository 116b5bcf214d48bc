package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/backup"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/mailbox"
	"github.com/belfry-events/belfry/services/objectevent"
	"github.com/belfry-events/belfry/services/scheduler"
)

// backupPlan is what the services keep, as a backup must know it.
func backupPlan() backup.Plan {
	return backup.Plan{
		Shared: []string{
			objectevent.Operations, scheduler.Schedules, // sources of relays
			scheduler.History, "KV_" + topology.Nonces, "KV_" + topology.Revocations, // nothing else follows from these
		},
		Renewed: []string{mailbox.Stream}, // ids of messages are positions in it
		Documents: []backup.Documents{
			{Stream: "KV_" + mailbox.StateBucket, Subject: subject.AllKeys(mailbox.StateBucket)},
			{Stream: "KV_" + topology.RelayCopies, Subject: subject.AllKeys(topology.RelayCopies)},
			{Stream: "KV_" + objectevent.AlertsBucket, Subject: subject.AllKeys(objectevent.AlertsBucket)},
			{Stream: "KV_" + objectevent.DeletionsBucket, Subject: subject.AllKeys(objectevent.DeletionsBucket)},
			{Stream: mailbox.Stream, Subject: subject.MailboxTable}, // the cursor stays its newest message
			{Stream: topology.Events, Subject: subject.RelayCursors},
		},
	}
}

func newBackup(std stdio) *cobra.Command {
	s := newSettings()
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "backup <directory>",
		Short: "Copy everything kept in JetStream into a directory",
		Long: `Write a snapshot of every stream and bucket, all of one consistent time, into a new
directory. Windows stay open and publishers over NATS go on; mailbox, objectevent and
scheduler must be idle or stopped meanwhile, and if they are not, nothing is written and
the code is backup_unsteady.

The secrets are not in it: the key that tokens are signed with, the password of the
services. It connects as a service: with the password in the data directory of
"belfry run", or with the credentials for nats.url.`,
		Example: `  belfry backup ./backup-2027-01-31
  belfry backup ./b --nats-url nats://127.0.0.1:4222 --nats-user service --nats-password-file ./password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, closeNATS, err := s.backupOptions(cmd, args[0])
			if err != nil {
				return err
			}
			defer closeNATS()
			o.Wait = wait
			m, err := backup.Take(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "wrote %s to %s in %s\n", counted(m), args[0], m.Ended.Sub(m.Began).Round(time.Millisecond))
			return err
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to try again while services work")
	s.flags(cmd.Flags(), "nats", "nats-url", "nats-user", "nats-password-file", "nats-creds", "data-dir")
	return cmd
}

func newRestore(std stdio) *cobra.Command {
	s := newSettings()
	var replicas int
	cmd := &cobra.Command{
		Use:   "restore <directory>",
		Short: "Put a backup into a NATS server that has none of our streams",
		Long: `Restore all streams and buckets of a backup into a server without them, before any
service starts: run "belfry nats" alone, restore, then start the services. If it breaks
off, what was restored is removed again.

Positions given out before are gone: windows fetch their state anew (cursor_gone),
partners receive again what they had not confirmed when the backup was taken, under new
message ids. Mailboxes, schedules, locks, trash and hooks are as they were. What was
revoked since must be revoked again.`,
		Example: `  belfry nats --data-dir ./new &
  belfry restore ./backup-2027-01-31 --data-dir ./new`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch replicas {
			case 0, 1, 3, 5:
			default:
				return fault.New(fault.UsageError, "--stream-replicas: %d is not 1, 3 or 5", replicas)
			}
			o, closeNATS, err := s.backupOptions(cmd, args[0])
			if err != nil {
				return err
			}
			defer closeNATS()
			m, err := backup.Restore(cmd.Context(), o, replicas)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "restored %s as of %s; the services may start\n", counted(m), m.Began.Format(time.RFC3339))
			return err
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&replicas, "stream-replicas", 0, "copies of every stream: 1, 3 or 5 (default as they were)")
	s.flags(fs, "nats", "nats-url", "nats-user", "nats-password-file", "nats-creds", "data-dir")
	return cmd
}

func (s *settings) backupOptions(cmd *cobra.Command, dir string) (backup.Options, func(), error) {
	if _, _, err := s.load(cmd); err != nil {
		return backup.Options{}, nil, err
	}
	nc, err := s.dialService()
	if err != nil {
		return backup.Options{}, nil, err
	}
	return backup.Options{NC: nc, Dir: dir, Plan: backupPlan()}, nc.Close, nil
}

func counted(m backup.Manifest) string {
	var messages uint64
	var bytes int64
	for _, s := range m.Streams {
		messages, bytes = messages+s.Messages, bytes+s.Bytes
	}
	return fmt.Sprintf("%d streams with %d messages (%d KiB)", len(m.Streams), messages, (bytes+1023)>>10)
}
