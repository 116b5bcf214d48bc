package main

import (
	"context"

	"github.com/spf13/cobra"

	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/proto/belfry/scheduler/v1/schedulerv1connect"
)

func newSchedule(std stdio) *cobra.Command {
	return group(&cobra.Command{
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
	},
		newScheduleAdd(std), newScheduleList(std), newScheduleGet(std), newSchedulePreview(std), newSchedulePause(std),
		newScheduleResume(std), newScheduleRun(std), newScheduleHistory(std), newScheduleDelete(std))
}

// timetable is how the commands of the group talk to the scheduler.
type timetable struct {
	*caller[schedulerv1connect.SchedulerServiceClient]
}

func newTimetable(std stdio) timetable {
	return timetable{newCaller(std, schedulerv1connect.NewSchedulerServiceClient)}
}

func newScheduleGet(std stdio) *cobra.Command {
	c := newTimetable(std)
	cmd := &cobra.Command{
		Use: "get <id>", Short: "Show one schedule", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.Get(ctx, &schedulerv1.GetRequest{Tenant: c.tenant, Id: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return describe(c.std.out, answer.GetSchedule()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newScheduleList(std stdio) *cobra.Command {
	c := newTimetable(std)
	var state string
	cmd := &cobra.Command{
		Use: "list", Short: "List the schedules of a tenant", Args: cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			all := &schedulerv1.ListResponse{}
			for more := true; more; more = all.GetMore() {
				page, err := c.api.List(ctx, &schedulerv1.ListRequest{Tenant: c.tenant, State: state, After: all.GetCursor()})
				if err != nil {
					return err
				}
				all.Schedules = append(all.GetSchedules(), page.GetSchedules()...)
				all.Cursor, all.More = page.GetCursor(), page.GetMore()
			}
			return c.show(all, func() error { return listSchedules(c.std.out, all.GetSchedules()) })
		}),
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
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.History(ctx, &schedulerv1.HistoryRequest{Tenant: c.tenant, Id: args[0], Limit: &limit})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return recount(c.std.out, answer.GetEntries()) })
		}),
	}
	cmd.Flags().Int32Var(&limit, "limit", 20, "how many entries, the newest first; at most 100")
	c.flags(cmd)
	return cmd
}
