package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

func newMailboxDead(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "dead <name>", Short: "List messages that were delivered too often and never confirmed", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			id, err := c.subscriber(ctx, args[0])
			if err != nil {
				return err
			}
			all := &mailboxv1.ViewDeadLettersResponse{}
			for more, after := true, ""; more; more = all.GetMore() {
				page, err := c.api.ViewDeadLetters(ctx, &mailboxv1.ViewDeadLettersRequest{SubscriberId: id, After: after})
				if err != nil {
					return err
				}
				all.DeadLetters, all.More = append(all.GetDeadLetters(), page.GetDeadLetters()...), page.GetMore()
				if n := len(all.GetDeadLetters()); n > 0 {
					after = all.GetDeadLetters()[n-1].GetMessageId()
				}
			}
			return c.show(all, func() error {
				return tabulate(c.std.out, "no dead letters", "MESSAGE\tTENANT\tTOPIC\tDELIVERIES\tGIVEN UP", all.GetDeadLetters(), func(d *mailboxv1.DeadLetter) []any {
					return []any{d.GetMessageId(), d.GetCompCode(), d.GetTopic(), d.GetDeliveryCount(), d.GetBuried().AsTime().Local().Format("2006-01-02 15:04")}
				})
			})
		}),
	}
	c.flags(cmd)
	return cmd
}

func newMailboxRedrive(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "redrive <name> [message]…", Short: "Put dead letters back into their mailbox; all, unless named", Args: cobra.MinimumNArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			id, err := c.subscriber(ctx, args[0])
			if err != nil {
				return err
			}
			all := &mailboxv1.RedriveResponse{}
			for more := true; more; more = all.GetMore() {
				part, err := c.api.Redrive(ctx, &mailboxv1.RedriveRequest{SubscriberId: id, MessageIds: args[1:]})
				if err != nil {
					return err
				}
				all.MessageCount, all.More = all.GetMessageCount()+part.GetMessageCount(), part.GetMore()
			}
			return c.show(all, func() error { return c.print("%d messages are back, behind what waits", all.GetMessageCount()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

// verbs are those of a subscription, for people.
func verbs(all []string) string {
	if len(all) == 0 {
		return "all but deleting"
	}
	return strings.Join(all, ", ")
}
