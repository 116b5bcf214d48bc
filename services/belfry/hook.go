package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

func newHook(std stdio) *cobra.Command {
	return group(&cobra.Command{
		Use:   "hook",
		Short: "Have a say before something is deleted",
		Long: `A hook is asked before an object is deleted. One of sys.userDelete may refuse that
a user goes to the trash; one of frm.objectToDelete is told, and cannot refuse.

It answers over NATS, or at a URL of its own, where calls come signed. When it does
not answer in time, what it could have refused is refused, unless it is --fail-open.`,
		Example: `  belfry hook add guard                                # of sys.userDelete, over NATS
  belfry hook serve guard --refuse 'is the only administrator'
  belfry object trash users 42                         # in another terminal
  belfry hook verdicts`,
	},
		newHookAdd(std), newHookList(std), newHookTest(std), newHookServe(std), newHookVerdicts(std),
		newHookSwitch(std, "enable", "Ask a hook again", false), newHookSwitch(std, "disable", "Ask a hook no more, and keep it", true),
		newHookRotate(std), newHookDelete(std))
}

// hooker is how the commands of the group talk to the hooks' API.
type hooker struct {
	*caller[objecteventv1connect.HookServiceClient]
}

func newHooker(std stdio) hooker {
	return hooker{newCaller(std, objecteventv1connect.NewHookServiceClient)}
}

func newHookAdd(std stdio) *cobra.Command {
	c := newHooker(std)
	r := &objecteventv1.CreateHookRequest{}
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "add <name>", Short: "Register a hook", Args: cobra.ExactArgs(1),
		Example: `  belfry hook add guard
  belfry hook add orders --at https://erp.example.com/may-i-delete --timeout 500ms
  belfry hook add archive --event frm.objectToDelete --topic invoices`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			r.Tenant, r.Name, r.Timeout = c.tenant, args[0], durationpb.New(timeout)
			answer, err := c.api.CreateHook(ctx, r)
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				h := answer.GetHook()
				if answer.GetSecret() == "" {
					return c.print("%s is asked on %s; serve it: belfry hook serve %s", h.GetName(), h.GetSubject(), h.GetName())
				}
				return c.print("%s is asked at %s\nsecret, shown this once: %s", h.GetName(), h.GetUrl(), answer.GetSecret())
			})
		}),
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&r.Events, "event", []string{"sys.userDelete"}, "what it is asked: sys.userDelete, frm.objectToDelete (repeatable)")
	fs.StringArrayVar(&r.Topics, "topic", nil, "only about objects of this `topic` (repeatable; default all)")
	fs.StringVar(&r.Url, "at", "", "`URL` where it is called over HTTP (default over NATS)")
	config.DurationVar(fs, &timeout, "timeout", 2*time.Second, "how long it may take")
	fs.BoolVar(&r.FailOpen, "fail-open", false, "when it does not answer, allow (default refuse)")
	fs.BoolVar(&r.Disabled, "disabled", false, "do not ask it yet")
	c.flags(cmd)
	return cmd
}

func newHookList(std stdio) *cobra.Command {
	c := newHooker(std)
	cmd := &cobra.Command{
		Use: "list", Short: "List the hooks of a tenant", Args: cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			answer, err := c.api.ListHooks(ctx, &objecteventv1.ListHooksRequest{Tenant: c.tenant})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return listHooks(c.std.out, answer.GetHooks()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func listHooks(out io.Writer, hooks []*objecteventv1.Hook) error {
	return tabulate(out, "no hooks", "NAME\tASKED\tABOUT\tAT\tTIMEOUT\tSILENCE\tSTATE", hooks, func(h *objecteventv1.Hook) []any {
		about, at, silence, state := "all", h.GetSubject()+h.GetUrl(), "refuses", "circuit "+h.GetCircuit()
		if len(h.GetTopics()) > 0 {
			about = strings.Join(h.GetTopics(), ",")
		}
		if h.GetFailOpen() {
			silence = "allows"
		}
		if h.GetDisabled() {
			state = "disabled"
		}
		return []any{h.GetName(), strings.Join(h.GetEvents(), ","), about, at, h.GetTimeout().AsDuration(), silence, state}
	})
}

func newHookTest(std stdio) *cobra.Command {
	c := newHooker(std)
	r := &objecteventv1.TestHookRequest{}
	var old string
	cmd := &cobra.Command{
		Use: "test <name>", Short: "Ask a hook as if, and show what it says", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			r.Tenant, r.Name = c.tenant, args[0]
			var err error
			if r.Old, err = c.values("--old", old); err != nil {
				return err
			}
			answer, err := c.api.TestHook(ctx, r)
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				then := "the deletion would go on"
				if !answer.GetAllowed() {
					then = "the deletion would end here"
				}
				return c.print("%s\n%s", said(answer.GetAnswer()), then)
			})
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&r.Event, "event", "", "what to ask (default the hook's first)")
	fs.StringVar(&r.Topic, "topic", "", "about an object of this topic (default the hook's first, else users)")
	fs.StringVar(&r.Object, "object", "test", "id of the object")
	fs.StringVar(&r.Mode, "mode", "trash", "trash, or delete: without trash")
	fs.StringVar(&old, "old", "", "its values, a `JSON` object, @file, or - for what comes in")
	c.flags(cmd)
	return cmd
}

// said is one answer of one hook as a line.
func said(a *objecteventv1.HookAnswer) string {
	line := fmt.Sprintf("%s  %s  %s in %s", a.GetHook(), a.GetEvent(), a.GetOutcome(), a.GetTook().AsDuration().Round(10*time.Microsecond))
	if a.GetReason() != "" {
		line += ": " + a.GetReason()
	}
	return line
}

// values reads a flag with a JSON object, a file of one, or - for what comes in; "" =
// none. Code usage.
func (o *operator) values(flag, arg string) (*objecteventv1.Values, error) {
	if arg == "" {
		return nil, nil //nolint:nilnil // an absent message
	}
	text, err := readData(arg, o.std.in, int64(o.set.process.Events.MaxBytes))
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, new(map[string]json.RawMessage)) != nil {
		return nil, fault.New(fault.UsageError, `%s: must be a JSON object like '{"total":12}'`, flag)
	}
	return &objecteventv1.Values{Json: text}, nil
}

func newHookVerdicts(std stdio) *cobra.Command {
	c := newHooker(std)
	r := &objecteventv1.ListVerdictsRequest{}
	var since time.Duration
	cmd := &cobra.Command{
		Use: "verdicts", Short: "Show what hooks said, and how long they took", Args: cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			if since <= 0 {
				return fault.New(fault.UsageError, "--since: %s is not above 0", since)
			}
			r.Tenant, r.Since = c.tenant, timestamppb.New(time.Now().Add(-since))
			all := &objecteventv1.ListVerdictsResponse{}
			for more := true; more; more = all.GetMore() {
				page, err := c.api.ListVerdicts(ctx, r)
				if err != nil {
					return err
				}
				all.Verdicts = append(all.GetVerdicts(), page.GetVerdicts()...)
				r.After, all.Cursor, all.More = page.GetCursor(), page.GetCursor(), page.GetMore()
			}
			return c.show(all, func() error {
				if len(all.GetVerdicts()) == 0 {
					return c.print("no verdicts")
				}
				for _, v := range all.GetVerdicts() {
					about := fmt.Sprintf("%s %s to %s", v.GetTopic(), v.GetObject(), v.GetMode())
					if v.GetDryRun() {
						about += " (a trial)"
					}
					if err := c.print("%s  %s  %s", v.GetAsked().AsTime().Local().Format(time.DateTime), about, said(v.GetAnswer())); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&r.Hook, "hook", "", "only of this hook")
	cmd.Flags().StringVar(&r.DeletionId, "deletion", "", "only about this deletion `id`")
	config.DurationVar(cmd.Flags(), &since, "since", 24*time.Hour, "not older than this")
	c.flags(cmd)
	return cmd
}

func newHookSwitch(std stdio, use, short string, disabled bool) *cobra.Command {
	c := newHooker(std)
	cmd := &cobra.Command{
		Use: use + " <name>", Short: short, Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			found, err := c.api.GetHook(ctx, &objecteventv1.GetHookRequest{Tenant: c.tenant, Name: args[0]})
			if err != nil {
				return err
			}
			h := found.GetHook()
			answer, err := c.api.UpdateHook(ctx, &objecteventv1.UpdateHookRequest{
				Tenant: c.tenant, Name: h.GetName(), Revision: &h.Revision, Events: h.GetEvents(), Topics: h.GetTopics(),
				Url: h.GetUrl(), Timeout: h.GetTimeout(), FailOpen: h.GetFailOpen(), Disabled: disabled,
			})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is %sd", h.GetName(), use) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newHookRotate(std stdio) *cobra.Command {
	c := newHooker(std)
	var overlap time.Duration
	cmd := &cobra.Command{
		Use: "rotate <name>", Short: "Give a hook at a URL a new secret", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.RotateHookSecret(ctx, &objecteventv1.RotateHookSecretRequest{Tenant: c.tenant, Name: args[0], Overlap: durationpb.New(overlap)})
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				return c.print("secret, shown this once: %s\nthe old one signs beside it until %s", answer.GetSecret(), answer.GetOldUntil().AsTime().Local().Format(time.DateTime))
			})
		}),
	}
	config.DurationVar(cmd.Flags(), &overlap, "overlap", 24*time.Hour, "how long the old secret goes on signing beside it")
	c.flags(cmd)
	return cmd
}

func newHookDelete(std stdio) *cobra.Command {
	c := newHooker(std)
	cmd := &cobra.Command{
		Use: "delete <name>", Short: "Forget a hook; its verdicts stay", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.DeleteHook(ctx, &objecteventv1.DeleteHookRequest{Tenant: c.tenant, Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is gone", args[0]) })
		}),
	}
	c.flags(cmd)
	return cmd
}
