package main

import (
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

func newMailboxReplay(std stdio) *cobra.Command {
	c := newPostman(std)
	var (
		since time.Duration
		after string
	)
	cmd := &cobra.Command{
		Use: "replay <name> <topic>", Short: "Put events of the past into a mailbox once more", Args: cobra.ExactArgs(2),
		Long: `Put events of the past into a mailbox once more, behind what waits there, in the order
in which they happened. For a partner who has lost what it had confirmed, or who
subscribed too late.

What was put there stays there when the command is cut off; it says how to go on.`,
		Example: `  belfry mailbox replay acme invoices --since 36h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.dial(cmd); err != nil {
				return err
			}
			r := &mailboxv1.ReplayRequest{CompCode: c.tenant, Topic: args[1], After: after}
			switch {
			case (since == 0) == (after == ""):
				return fault.New(fault.UsageError, "say either --since or --after")
			case since < 0:
				return fault.New(fault.UsageError, "--since: %s is not above 0", since)
			case since > 0:
				r.Since = timestamppb.New(time.Now().Add(-since))
			}
			all, err := c.replay(cmd, args[0], r)
			if err != nil && all.GetCursor() != "" {
				return fault.Wrap(fault.CodeOf(err), err, "%s (%d messages were put there before; go on with --after %s)", err, all.GetMessageCount(), all.GetCursor())
			}
			if err != nil {
				return err
			}
			return c.show(all, func() error { return c.print("%d messages were put behind what waits", all.GetMessageCount()) })
		},
	}
	config.DurationVar(cmd.Flags(), &since, "since", 0, "events of the last … (36h, 7d)")
	cmd.Flags().StringVar(&after, "after", "", "go on behind the `cursor` that a command which was cut off has printed")
	c.flags(cmd)
	return cmd
}

// replay asks until there is no more, and answers what was put there even if that
// ended in an error.
func (c postman) replay(cmd *cobra.Command, subscriber string, r *mailboxv1.ReplayRequest) (*mailboxv1.ReplayResponse, error) {
	all := &mailboxv1.ReplayResponse{More: true}
	once := func() (err error) {
		ctx, cancel := within(cmd, answerWithin)
		defer cancel()
		if r.GetSubscriberId() == "" {
			if r.SubscriberId, err = c.subscriber(ctx, subscriber); err != nil {
				return err
			}
		}
		part, err := c.api.Replay(ctx, r)
		if err != nil {
			return err
		}
		all.MessageCount, all.Cursor, all.More = all.GetMessageCount()+part.GetMessageCount(), part.GetCursor(), part.GetMore()
		r.Since, r.After = nil, part.GetCursor()
		return nil
	}
	for all.GetMore() {
		if err := once(); err != nil {
			return all, err
		}
	}
	return all, nil
}
