package main

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

// reported is one command of the group: an operation, and what it takes.
type reported struct {
	op, short string
	asks      bool // BeforeDelete comes first
	old, new  bool // its values, before and after
}

var operations = []reported{
	{op: "insert", short: "Report that an object was saved for the first time", new: true},
	{op: "update", short: "Report that an object was changed", old: true, new: true},
	{op: "trash", short: "Ask whether an object may go to the trash, and report that it did", asks: true, old: true},
	{op: "restore", short: "Report that an object came back from the trash", new: true},
	{op: "delete", short: "Announce that an object disappears, without trash, and report that it did", asks: true, old: true},
	{op: "purge", short: "Report that an object was deleted from the trash"},
	{op: "forget", short: "Report that everything about an object was forgotten (GDPR)"},
	{op: "status", short: "Report a user's new status", old: true, new: true},
	{op: "activate", short: "Report that a licence was activated", new: true},
}

func newObject(std stdio) *cobra.Command {
	head := &cobra.Command{
		Use:   "object",
		Short: "Report what was done to an object",
		Long: `Report what was done to an object, as a source system does, and show the events that
follow from it. Before an object goes to the trash or disappears, hooks are asked;
when one refuses, nothing is reported (exit code 6, deletion_refused).`,
		Example: `  belfry object insert invoices 4711 --new '{"total":12.5}'
  belfry object update invoices 4711 --old '{"total":12.5}' --new '{"total":13}' --actor anna
  belfry object trash users 42 --actor anna`,
	}
	var commands []*cobra.Command
	for _, o := range operations {
		commands = append(commands, newReport(std, o))
	}
	return group(head, commands...)
}

// reporter is one run of a command of the group.
type reporter struct {
	*caller[objecteventv1connect.OperationServiceClient]
	hooks objecteventv1connect.HookServiceClient

	unasked  bool
	actor    string
	backend  bool
	version  int32
	old, new string
	request  *objecteventv1.Operation
}

func newReport(std stdio, o reported) *cobra.Command {
	c := &reporter{request: &objecteventv1.Operation{Op: o.op}}
	c.caller = newCaller(std, func(client connect.HTTPClient, url string, options ...connect.ClientOption) objecteventv1connect.OperationServiceClient {
		c.hooks = objecteventv1connect.NewHookServiceClient(client, url, options...)
		return objecteventv1connect.NewOperationServiceClient(client, url, options...)
	})
	cmd := &cobra.Command{
		Use: o.op + " <topic> <id>", Short: o.short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.dial(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("version") {
				c.request.Version = &c.version
			}
			var err error
			if c.request.Old, err = c.values("--old", c.old); err != nil {
				return err
			}
			if c.request.New, err = c.values("--new", c.new); err != nil {
				return err
			}
			ctx, cancel := within(cmd, reportWithin)
			defer cancel()
			return c.report(ctx, o, args[0], args[1])
		},
	}
	fs := cmd.Flags()
	if o.old {
		fs.StringVar(&c.old, "old", "", "its values before, a `JSON` object, @file, or - for what comes in")
	}
	if o.new {
		fs.StringVar(&c.new, "new", "", "its values after, a `JSON` object, @file, or - for what comes in")
	}
	if o.asks {
		fs.BoolVar(&c.unasked, "unasked", false, "report it without asking hooks, as something only seen afterwards")
	}
	if o.op == "update" {
		fs.BoolVar(&c.request.Raise, "raise", false, "raise frm.objectUpdate for an update by the back-end, too")
	}
	fs.StringVar(&c.actor, "actor", "operator", "the `user` who did it")
	fs.BoolVar(&c.backend, "backend", false, "the back-end did it, not a user")
	fs.Int32Var(&c.version, "version", 0, "version of the object after it")
	fs.StringVar(&c.request.Id, "id", "", "id of the operation; the same again raises nothing (default a new one)")
	c.flags(cmd)
	return cmd
}

// reportWithin bounds asking, and waiting for the events.
const reportWithin = time.Minute

// report asks, where it must be asked, and reports.
func (c *reporter) report(ctx context.Context, o reported, topic, object string) (err error) {
	r := c.request
	r.Tenant, r.Topic, r.Object, r.Actor, r.Origin = c.tenant, topic, object, &objecteventv1.Actor{User: c.actor}, "user"
	if c.backend {
		r.Origin = "backend"
	}
	if r.GetId() == "" {
		r.Id = event.NewID()
	}
	if o.asks && !c.unasked {
		if r.DeletionId, err = c.ask(ctx, r); err != nil {
			return err
		}
	}
	answer, err := c.api.Report(ctx, &objecteventv1.ReportRequest{Operations: []*objecteventv1.Operation{r}})
	if err != nil {
		return err
	}
	return c.show(answer, func() error {
		outcome := answer.GetOperations()[0]
		if err := c.print("%s  %s", outcome.GetId(), outcome.GetState()); err != nil {
			return err
		}
		for _, e := range outcome.GetEvents() {
			if err := c.print("%s  %s.%s", e.GetCursor(), topic, e.GetVerb()); err != nil {
				return err
			}
		}
		return nil
	})
}

// ask asks hooks and answers the deletion id. Code deletion_refused.
func (c *reporter) ask(ctx context.Context, r *objecteventv1.Operation) (string, error) {
	asked, err := c.hooks.BeforeDelete(ctx, &objecteventv1.BeforeDeleteRequest{
		Tenant: r.GetTenant(), Topic: r.GetTopic(), Object: r.GetObject(), Mode: r.GetOp(), Actor: r.GetActor(),
		Version: r.Version, Old: r.GetOld(), RequestId: r.GetId(),
	})
	if err != nil {
		return "", err
	}
	if !c.json {
		if err := c.print("%s  %s.deleting", asked.GetCursor(), r.GetTopic()); err != nil {
			return "", err
		}
		for _, a := range asked.GetHooks() {
			if err := c.print("%s", said(a)); err != nil {
				return "", err
			}
		}
	}
	if !asked.GetAllowed() {
		return "", fault.New(fault.DeletionRefused, "%s refused: %s", asked.GetRefusedBy(), asked.GetReason())
	}
	return asked.GetDeletionId(), nil
}
