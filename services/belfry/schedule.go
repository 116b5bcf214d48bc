package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/proto/belfry/scheduler/v1/schedulerv1connect"
)

func newSchedule(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Make things happen at a time",
		Long: `A schedule is a rule that says when, and an action that says what happens then: a
durable event, or a real-time event to the windows that a user has open.

The rule is a cron expression in a time zone, an interval, or one moment. A reading
of the clock on the wall fires once per local date, also on the two days of the
year on which the clocks change; look with "belfry schedule preview".`,
		Example: `  belfry schedule preview --cron "30 2 * * *" --zone Europe/Prague --from 2026-10-24
  belfry schedule add daily-report --cron "30 6 * * MON-FRI" --zone Europe/Prague --publish reports.due
  belfry schedule list`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ")
			}
			return fault.New(fault.UsageError, "%s; see %s --help", text, cmd.CommandPath())
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	for _, add := range []*cobra.Command{
		newScheduleAdd(std), newScheduleList(std), newScheduleGet(std), newSchedulePreview(std), newSchedulePause(std),
		newScheduleResume(std), newScheduleRun(std), newScheduleHistory(std), newScheduleDelete(std),
	} {
		add.Flags().SortFlags = false
		cmd.AddCommand(add)
	}
	return cmd
}

// timetable is how the commands of the group talk to the scheduler.
type timetable struct {
	std    stdio
	set    *settings
	remote remote
	json   bool

	schedulerv1connect.SchedulerServiceClient
	tenant string // of requests; "" = the token's only one
}

func newTimetable(std stdio) *timetable { return &timetable{std: std, set: newSettings()} }

// flags adds what every command of the group takes; call it after the command's own.
func (c *timetable) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.json, "json", false, "print the API's answer as JSON")
	c.remote.flags(cmd, c.set)
}

// callWithin bounds one call to the platform.
const callWithin = 15 * time.Second

// dial makes the calls possible, and bounds the command.
func (c *timetable) dial(cmd *cobra.Command) (context.Context, context.CancelFunc, error) {
	if _, _, err := c.set.load(cmd); err != nil {
		return nil, nil, err
	}
	client, url, option, err := c.remote.dial(c.set)
	if err != nil {
		return nil, nil, err
	}
	if cmd.Flags().Changed("tenant") {
		c.tenant = c.remote.tenants[0]
	}
	c.SchedulerServiceClient = schedulerv1connect.NewSchedulerServiceClient(client, url, option)
	ctx, cancel := context.WithTimeout(cmd.Context(), callWithin)
	return ctx, cancel, nil
}

// show prints an answer: as JSON if that was asked for, else as people read it.
func (c *timetable) show(answer proto.Message, readable func() error) error {
	if !c.json {
		return readable()
	}
	b, err := api.JSON{}.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = c.std.out.Write(append(b, '\n'))
	return err
}

func (c *timetable) print(format string, args ...any) error {
	_, err := fmt.Fprintf(c.std.out, format+"\n", args...)
	return err
}

func newScheduleGet(std stdio) *cobra.Command {
	c := newTimetable(std)
	cmd := &cobra.Command{
		Use: "get <id>", Short: "Show one schedule", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			answer, err := c.Get(ctx, &schedulerv1.GetRequest{Tenant: c.tenant, Id: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s", describe(answer.GetSchedule())) })
		},
	}
	c.flags(cmd)
	return cmd
}

func newScheduleList(std stdio) *cobra.Command {
	c := newTimetable(std)
	var state string
	cmd := &cobra.Command{
		Use: "list", Short: "List the schedules of a tenant", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			all := &schedulerv1.ListResponse{}
			for more := true; more; more = all.GetMore() {
				page, err := c.List(ctx, &schedulerv1.ListRequest{Tenant: c.tenant, State: state, After: all.GetCursor()})
				if err != nil {
					return err
				}
				all.Schedules = append(all.GetSchedules(), page.GetSchedules()...)
				all.Cursor, all.More = page.GetCursor(), page.GetMore()
			}
			return c.show(all, func() error { return tabulate(c.std.out, all.GetSchedules()) })
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only those that are armed, paused or ended")
	c.flags(cmd)
	return cmd
}

func newScheduleHistory(std stdio) *cobra.Command {
	c := newTimetable(std)
	var limit int32
	cmd := &cobra.Command{
		Use: "history <id>", Short: "Show what became of a schedule's occurrences", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			answer, err := c.History(ctx, &schedulerv1.HistoryRequest{Tenant: c.tenant, Id: args[0], Limit: &limit})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return recount(c.std.out, answer.GetEntries()) })
		},
	}
	cmd.Flags().Int32Var(&limit, "limit", 20, "how many entries, the newest first; at most 100")
	c.flags(cmd)
	return cmd
}
