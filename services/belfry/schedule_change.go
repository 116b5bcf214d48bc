package main

import (
	"context"

	"github.com/spf13/cobra"

	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
)

// The commands that change one schedule.

func newSchedulePause(std stdio) *cobra.Command {
	c := newTimetable(std)
	var note string
	cmd := &cobra.Command{
		Use: "pause <id>", Short: "Keep a schedule from firing until it is resumed", Args: cobra.ExactArgs(1),
		Long: `Keep a schedule from firing until it is resumed. What is due meanwhile is not made
up for.`,
		Example: `  belfry schedule pause daily-report --note "until the migration is over"`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.Pause(ctx, &schedulerv1.PauseRequest{Tenant: c.tenant, Id: args[0], Note: note})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s", becomes(answer.GetSchedule())) })
		}),
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for those who find it paused")
	c.flags(cmd)
	return cmd
}

func newScheduleResume(std stdio) *cobra.Command {
	c := newTimetable(std)
	cmd := &cobra.Command{
		Use: "resume <id>", Short: "Let a paused schedule fire again, from now on", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.Resume(ctx, &schedulerv1.ResumeRequest{Tenant: c.tenant, Id: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s", becomes(answer.GetSchedule())) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newScheduleRun(std stdio) *cobra.Command {
	c := newTimetable(std)
	cmd := &cobra.Command{
		Use: "run <id>", Short: "Make a schedule's action happen once now", Args: cobra.ExactArgs(1),
		Long: `Make a schedule's action happen once now, paused or not. Its own occurrences stay as
they are.`,
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.RunNow(ctx, &schedulerv1.RunNowRequest{Tenant: c.tenant, Id: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s runs now, as %s", args[0], answer.GetOccurrence()) })
		}),
	}
	c.flags(cmd)
	return cmd
}

func newScheduleDelete(std stdio) *cobra.Command {
	c := newTimetable(std)
	cmd := &cobra.Command{
		Use: "delete <id>", Short: "Forget a schedule", Args: cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			answer, err := c.api.Delete(ctx, &schedulerv1.DeleteRequest{Tenant: c.tenant, Id: args[0]})
			if err != nil {
				return err
			}
			return c.show(answer, func() error { return c.print("%s is gone", args[0]) })
		}),
	}
	c.flags(cmd)
	return cmd
}
