package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
	"github.com/belfry-events/belfry/proto/belfry/mailbox/v1/mailboxv1connect"
)

func newMailbox(std stdio) *cobra.Command {
	return group(&cobra.Command{
		Use:   "mailbox",
		Short: "Keep events for a partner until they are confirmed",
		Long: `A subscriber has mailboxes, one for each topic that it subscribed to. From then on
every event of the topic waits there, in order, until it is confirmed, however long
the subscriber is away (up to ten days, unless set).`,
		Example: `  belfry mailbox register acme
  belfry mailbox subscribe acme invoices
  belfry mailbox poll acme --exec 'jq .data'
  belfry mailbox list`,
	},
		newMailboxRegister(std), newMailboxSubscribe(std), newMailboxUnsubscribe(std), newMailboxPoll(std), newMailboxConfirm(std),
		newMailboxList(std), newMailboxTopics(std), newMailboxDescribe(std), newMailboxDead(std), newMailboxRedrive(std), newMailboxReplay(std))
}

// postman is how the commands of the group talk to the mailbox service.
type postman struct {
	*caller[mailboxv1connect.MailboxServiceClient]
}

func newPostman(std stdio) postman {
	return postman{newCaller(std, mailboxv1connect.NewMailboxServiceClient)}
}

// subscriber is the id of the subscriber that the caller has registered under a
// name. Code subscriber_unknown.
func (c postman) subscriber(ctx context.Context, name string) (string, error) {
	all, err := c.api.ViewSubscribers(ctx, &mailboxv1.ViewSubscribersRequest{})
	if err != nil {
		return "", err
	}
	for _, s := range all.GetSubscribers() {
		if s.GetSubscriberName() == name || s.GetSubscriberId() == name {
			return s.GetSubscriberId(), nil
		}
	}
	return "", fault.New(fault.SubscriberUnknown, "%s has registered no subscriber %q: belfry mailbox register %s", c.remote.user, name, name)
}

func newMailboxRegister(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "register <name>", Short: "Make a subscriber, or find the one of this name", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.Register(ctx, &mailboxv1.RegisterRequest{SubscriberName: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s", answer.GetSubscriberId()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

// kindsOf says which events a subscription takes.
func kindsOf(verbs []string) string {
	if len(verbs) == 0 {
		return "event"
	}
	return strings.Join(verbs, ", ") + " event"
}

func newMailboxSubscribe(std stdio) *cobra.Command {
	c := newPostman(std)
	var r mailboxv1.SubscribeRequest
	cmd := &cobra.Command{
		Use: "subscribe <name> <topic>", Short: "Set a mailbox up: keep every event of a topic from now on", Args: cobra.ExactArgs(2),
		RunE: c.run(func(ctx context.Context, args []string) (err error) {
			if r.SubscriberId, err = c.subscriber(ctx, args[0]); err != nil {
				return err
			}
			r.CompCode, r.Topic = c.tenant, args[1]
			answer, err := c.api.Subscribe(ctx, &r)
			if fault.CodeOf(err) == fault.TopicUnknown {
				return fault.Wrap(fault.TopicUnknown, err, "%s (belfry mailbox topics lists them, belfry mailbox describe makes one)", err)
			}
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				return c.print("every %s of %s from now on waits for %s", kindsOf(r.GetVerbs()), args[1], args[0])
			})
		}),
	}
	cmd.Flags().StringArrayVar(&r.Verbs, "verb", nil, "only this `verb` (repeatable; default every one but deleting)")
	cmd.Flags().Int32Var(&r.MaxDeliveries, "max-deliveries", 0, "deliveries after which a message becomes a dead letter; 0 = never")
	c.flags(cmd)
	return cmd
}

func newMailboxUnsubscribe(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "unsubscribe <name> <topic>", Short: "Delete a mailbox with everything that waits in it", Args: cobra.ExactArgs(2),
		RunE: c.run(func(ctx context.Context, args []string) error {
			id, err := c.subscriber(ctx, args[0])
			if err != nil {
				return err
			}
			answer, err := c.api.Unsubscribe(ctx, &mailboxv1.UnsubscribeRequest{SubscriberId: id, CompCode: c.tenant, Topic: args[1]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("the mailbox of %s for %s is deleted", args[0], args[1]) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newMailboxConfirm(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "confirm <name> <message> <lock>", Short: "Remove a message that was received", Args: cobra.ExactArgs(3),
		Long: `Remove a message that "belfry mailbox poll" has printed and locked. It may be repeated:
the same lock is answered the same.`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			id, err := c.subscriber(ctx, args[0])
			if err != nil {
				return err
			}
			answer, err := c.api.Confirm(ctx, &mailboxv1.ConfirmRequest{SubscriberId: id, MessageId: args[1], LockId: args[2]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("confirmed %s", answer.GetMessageId()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newMailboxList(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "list [name]", Short: "List subscribers, or the mailboxes of one", Args: cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return c.listSubscribers(ctx)
			}
			id, err := c.subscriber(ctx, args[0])
			if err != nil {
				return err
			}
			answer, err := c.api.ViewSubscriptions(ctx, &mailboxv1.ViewSubscriptionsRequest{SubscriberId: id})
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				return tabulate(c.std.out, "no mailboxes", "TENANT\tTOPIC\tWAITING\tDEAD\tVERBS", answer.GetSubscriptions(), func(s *mailboxv1.Subscription) []any {
					return []any{s.GetCompCode(), s.GetTopic(), s.GetMessageCount(), s.GetDeadLetterCount(), verbs(s.GetVerbs())}
				})
			})
		}),
	}
	c.flags(cmd)
	return cmd
}

func (c postman) listSubscribers(ctx context.Context) error {
	answer, err := c.api.ViewSubscribers(ctx, &mailboxv1.ViewSubscribersRequest{})
	if err != nil {
		return err
	}
	return c.show(answer, func() error {
		return tabulate(c.std.out, "no subscribers", "NAME\tID\tLAST POLLED\tEXPIRES", answer.GetSubscribers(), func(s *mailboxv1.Subscriber) []any {
			expires := "-"
			switch {
			case s.GetExpired():
				expires = "expired"
			case s.GetExpires() != nil:
				expires = s.GetExpires().AsTime().Local().Format("2006-01-02 15:04")
			}
			polled := "-"
			if s.GetLastPolled() != nil {
				polled = s.GetLastPolled().AsTime().Local().Format("2006-01-02 15:04")
			}
			return []any{s.GetSubscriberName(), s.GetSubscriberId(), polled, expires}
		})
	})
}

func newMailboxTopics(std stdio) *cobra.Command {
	c := newPostman(std)
	cmd := &cobra.Command{
		Use: "topics", Short: "List the topics that can be subscribed to", Args: cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			answer, err := c.api.ViewTopics(ctx, &mailboxv1.ViewTopicsRequest{})
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				return tabulate(c.std.out, "no topics", "TENANT\tTOPIC\tDESCRIPTION", answer.GetTopics(), func(t *mailboxv1.Topic) []any {
					return []any{t.GetCompCode(), t.GetTopic(), t.GetDescription()}
				})
			})
		}),
	}
	c.flags(cmd)
	return cmd
}

func newMailboxDescribe(std stdio) *cobra.Command {
	c := newPostman(std)
	var r mailboxv1.DescribeTopicRequest
	cmd := &cobra.Command{
		Use: "describe <topic>", Short: "Say what a topic is; it can be subscribed to before anything was published", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			r.Name, r.CompCode = args[0], c.tenant
			answer, err := c.api.DescribeTopic(ctx, &r)
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is described", args[0]) })
		}),
	}
	cmd.Flags().StringVar(&r.Description, "description", "", "for people")
	cmd.Flags().StringVar(&r.Schema, "schema", "", "JSON Schema of the events' data, as JSON `text`")
	c.flags(cmd)
	return cmd
}
