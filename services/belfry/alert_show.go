package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

func newAlertList(std stdio) *cobra.Command {
	c := newWarner(std)
	cmd := &cobra.Command{
		Use: "list", Short: "List the rules of a tenant, and what they did", Args: cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			answer, err := c.api.ListAlerts(ctx, &objecteventv1.ListAlertsRequest{Tenant: c.tenant})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.tabulate(answer.GetAlerts()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func (c *warner) tabulate(alerts []*objecteventv1.Alert) error {
	return tabulate(c.std.out, "no rules", "NAME\tWATCHES\tON\tWHEN\tTO\tRAISED\tTHROTTLED\tFAILED\tLAST MATCH\tSTATE", alerts,
		func(a *objecteventv1.Alert) []any {
			r, k := a.GetRule(), a.GetCounters()
			when := r.GetCondition()
			if when == "" {
				when = "always"
			}
			return []any{
				r.GetName(), strings.Join(r.GetTopics(), ","), strings.Join(r.GetOn(), ","), when, r.GetTargetTopic() + "." + r.GetTargetVerb(),
				k.GetRaised(), k.GetThrottled(), k.GetFailed(), lastMatch(k), alertState(a),
			}
		})
}

func lastMatch(k *objecteventv1.AlertCounters) string {
	if k.GetLastMatch() == nil {
		return "-"
	}
	return k.GetLastMatch().AsTime().Local().Format(time.DateTime)
}

func alertState(a *objecteventv1.Alert) string {
	switch {
	case !a.GetRule().GetDisabled():
		return "enabled"
	case a.GetDisabledReason() != "":
		return "disabled: " + a.GetDisabledReason()
	}
	return "disabled"
}

func newAlertGet(std stdio) *cobra.Command {
	c := newWarner(std)
	cmd := &cobra.Command{
		Use: "get <name>", Short: "Show one rule", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.GetAlert(ctx, &objecteventv1.GetAlertRequest{Tenant: c.tenant, Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.describe(answer.GetAlert()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func (c *warner) describe(a *objecteventv1.Alert) error {
	r, k := a.GetRule(), a.GetCounters()
	t := tabwriter.NewWriter(c.std.out, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("name", "%s, revision %d of %s by %s", r.GetName(), a.GetRevision(), a.GetUpdated().AsTime().Local().Format(time.DateTime), a.GetUpdatedBy())
	row("state", "%s", alertState(a))
	row("watches", "%s of %s", strings.Join(r.GetOn(), ", "), strings.Join(r.GetTopics(), ", "))
	row("when", "%s", r.GetCondition())
	row("raises", "%s.%s, %s", r.GetTargetTopic(), r.GetTargetVerb(), r.GetSeverity())
	row("says", "%s", r.GetMessage())
	row("throttle", "%s", r.GetThrottle().AsDuration())
	row("holds behind", "%s", a.GetSince())
	row("matched", "%d, last %s", k.GetMatched(), lastMatch(k))
	row("raised", "%d, throttled %d", k.GetRaised(), k.GetThrottled())
	row("failed", "%d %s", k.GetFailed(), k.GetLastError())
	return t.Flush()
}

func newAlertSwitch(std stdio, use, short string, disabled bool) *cobra.Command {
	c := newWarner(std)
	cmd := &cobra.Command{
		Use: use + " <name>", Short: short, Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			found, err := c.api.GetAlert(ctx, &objecteventv1.GetAlertRequest{Tenant: c.tenant, Name: args[0]})
			if err != nil {
				return err
			}
			a := found.GetAlert()
			a.Rule.Disabled = disabled
			answer, err := c.api.UpdateAlert(ctx, &objecteventv1.UpdateAlertRequest{Tenant: c.tenant, Name: args[0], Revision: &a.Revision, Rule: a.GetRule()})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is %sd from %s on", args[0], use, answer.GetAlert().GetSince()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newAlertDelete(std stdio) *cobra.Command {
	c := newWarner(std)
	cmd := &cobra.Command{
		Use: "delete <name>", Aliases: []string{"remove"}, Short: "Forget a rule; the alerts that it raised stay", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.DeleteAlert(ctx, &objecteventv1.DeleteAlertRequest{Tenant: c.tenant, Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is gone, from %s on", args[0], answer.GetSince()) })
		}),
	}
	c.flags(cmd)
	return cmd
}
