package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/belfry-events/belfry/pkg/config"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

func newAlert(std stdio) *cobra.Command {
	return group(&cobra.Command{
		Use:   "alert",
		Short: "Rules that turn changes of objects into alerts",
		Long: `A rule watches inserts, updates or deletes of some topics. When its condition, a CEL
expression over the values before and after, is true, it raises an event on a topic
of its own: windows and mailboxes receive it like any other.`,
		Example: `  belfry alert test --topic invoices --when 'new.total > 1000' --to finance
  belfry alert add large --topic invoices --when 'new.total > 1000' --to finance
  belfry alert list`,
	},
		newAlertAdd(std), newAlertUpdate(std), newAlertTest(std), newAlertList(std), newAlertGet(std),
		newAlertSwitch(std, "enable", "Let a rule raise alerts again", false), newAlertSwitch(std, "disable", "Let a rule raise no alerts, and keep it", true),
		newAlertDelete(std))
}

// warner is how the commands of the group talk to the alerts' API.
type warner struct {
	*caller[objecteventv1connect.AlertServiceClient]

	rule     *objecteventv1.AlertRule // as flags say
	throttle time.Duration
}

func newWarner(std stdio) *warner {
	return &warner{caller: newCaller(std, objecteventv1connect.NewAlertServiceClient), rule: &objecteventv1.AlertRule{}}
}

// run is caller's, with a rule that is as the flags say.
func (c *warner) run(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return c.caller.run(func(ctx context.Context, args []string) error {
		if c.throttle != 0 {
			c.rule.Throttle = durationpb.New(c.throttle)
		}
		return do(ctx, args)
	})
}

// ruleFlags are what a rule is.
func (c *warner) ruleFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&c.rule.Topics, "topic", nil, "`topic` that it watches (repeatable)")
	fs.StringArrayVar(&c.rule.On, "on", nil, "insert, update or delete (repeatable; default insert and update)")
	fs.StringVar(&c.rule.Condition, "when", "", "`CEL` expression over old, new, changed, actor.user, object (default always)")
	fs.StringVar(&c.rule.TargetTopic, "to", "", "`topic` of its alerts")
	fs.StringVar(&c.rule.TargetVerb, "verb", "", "their verb (default raised)")
	fs.StringVar(&c.rule.Message, "message", "", "what they say; {{new.total}} stands for a value")
	fs.StringVar(&c.rule.Severity, "severity", "", "info, warning or critical (default warning)")
	config.DurationVar(fs, &c.throttle, "throttle", 0, "at most one alert per object in this time; 0 = every one")
	fs.BoolVar(&c.rule.Disabled, "disabled", false, "raise nothing yet")
	c.flags(cmd)
}

func newAlertAdd(std stdio) *cobra.Command {
	c := newWarner(std)
	cmd := &cobra.Command{
		Use: "add <name>", Short: "Set a rule", Args: cobra.ExactArgs(1),
		Example: `  belfry alert add large --topic invoices --when 'new.total > 1000.0 && "total" in changed' --to finance \
    --message 'invoice {{object}}: {{old.total}} became {{new.total}}' --severity critical --throttle 1h`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			c.rule.Name = args[0]
			answer, err := c.api.CreateAlert(ctx, &objecteventv1.CreateAlertRequest{Tenant: c.tenant, Rule: c.rule})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.holds(answer.GetAlert()) })
		}),
	}
	c.ruleFlags(cmd)
	return cmd
}

// holds says from where a rule holds.
func (c *warner) holds(a *objecteventv1.Alert) error {
	if a.GetRule().GetDisabled() {
		return c.print("%s is set, revision %d, and disabled", a.GetRule().GetName(), a.GetRevision())
	}
	return c.print("%s holds for every change behind %s, revision %d; its alerts are %s.%s",
		a.GetRule().GetName(), a.GetSince(), a.GetRevision(), a.GetRule().GetTargetTopic(), a.GetRule().GetTargetVerb())
}

func newAlertUpdate(std stdio) *cobra.Command {
	c := newWarner(std)
	var revision int32
	cmd := &cobra.Command{
		Use: "update <name>", Short: "Replace everything of a rule but its name", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			r := &objecteventv1.UpdateAlertRequest{Tenant: c.tenant, Name: args[0], Rule: c.rule}
			if revision > 0 {
				r.Revision = &revision
			}
			answer, err := c.api.UpdateAlert(ctx, r)
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.holds(answer.GetAlert()) })
		}),
	}
	cmd.Flags().Int32Var(&revision, "revision", 0, "the revision it must have (default whichever)")
	c.ruleFlags(cmd)
	return cmd
}

func newAlertTest(std stdio) *cobra.Command {
	c := newWarner(std)
	var limit int32
	cmd := &cobra.Command{
		Use: "test [name]", Short: "Hold a rule against the most recent changes, and raise nothing", Args: cobra.MaximumNArgs(1),
		Long: `Hold a rule that is set, or the one that the flags describe, against the most recent
changes of its topics: what it would have raised, and why not.`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			r := &objecteventv1.TestAlertRequest{Tenant: c.tenant, Limit: &limit}
			if len(args) > 0 {
				r.Name = args[0]
			} else {
				r.Rule = c.rule
			}
			answer, err := c.api.TestAlert(ctx, r)
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.tried(answer) })
		}),
	}
	cmd.Flags().Int32Var(&limit, "limit", 50, "how many changes, up to 500")
	c.ruleFlags(cmd)
	return cmd
}

func (c *warner) tried(answer *objecteventv1.TestAlertResponse) error {
	for _, t := range answer.GetTrials() {
		what := "would say: " + t.GetMessage()
		if !t.GetFires() {
			what = "no: " + t.GetWhyNot()
		}
		if err := c.print("%s  %s %s %s  %s", t.GetTime().AsTime().Local().Format(time.DateTime), t.GetOn(), t.GetTopic(), t.GetObject(), what); err != nil {
			return err
		}
	}
	return c.print("%d of %d changes would have raised an alert", answer.GetFired(), len(answer.GetTrials()))
}
