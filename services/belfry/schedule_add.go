package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/belfry-events/belfry/pkg/fault"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
)

// longestData is the most that an action's data may be; see Publish.data of the
// scheduler's contract.
const longestData = 64 << 10

func newScheduleAdd(std stdio) *cobra.Command {
	c := newTimetable(std)
	request := &schedulerv1.CreateRequest{CatchUp: &schedulerv1.CatchUp{}}
	var act actionFlags
	var limit int32
	cmd := &cobra.Command{
		Use:   "add [<id>]",
		Short: "Add a schedule",
		Long: `Add a schedule. The id is yours, so that adding the same again changes nothing;
without one the scheduler makes it.

A time is RFC 3339 (2026-10-25T02:30:00+02:00), or a date with or without a time of
day in the rule's zone ("2026-10-25 02:30", 2026-10-25).`,
		Example: `  belfry schedule add daily-report --cron "30 6 * * MON-FRI" --zone Europe/Prague --publish reports.due
  belfry schedule add stock --every 15m --publish stock.count --data '{"full":false}' --jitter 30s
  belfry schedule add call-back --at "2027-01-04 14:30" --zone Europe/Prague \
    --notify anna --data '{"title":"Call Mr. Novak back"}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				request.Id = args[0]
			}
			if request.Action, err = act.action(std); err != nil {
				return err
			}
			if cmd.Flags().Changed("catch-up-limit") {
				request.CatchUp.Limit = &limit
			}
			return c.run(func(ctx context.Context, _ []string) error {
				request.Tenant = c.tenant
				answer, err := c.api.Create(ctx, request)
				if err != nil {
					return err
				}
				return c.show(answer, func() error { return c.print("%s", becomes(answer.GetSchedule())) })
			})(cmd, args)
		},
	}
	fs := cmd.Flags()
	request.Rule = ruleFlags(fs)
	act.flags(fs)
	fs.StringVar(&request.Description, "description", "", "for people")
	fs.StringVar(&request.CatchUp.Policy, "catch-up", "", "what was missed while nothing could fire: `once` (default), all or skip")
	fs.StringVar(&request.CatchUp.Window, "catch-up-window", "", "how late an occurrence may still fire, a `duration` (default: however late)")
	fs.Int32Var(&limit, "catch-up-limit", 0, "with --catch-up all: the newest so many (default 100)")
	fs.BoolVar(&request.Paused, "paused", false, "begin paused")
	c.flags(cmd)
	return cmd
}

// ruleFlags adds the flags that say when.
func ruleFlags(fs *pflag.FlagSet) *schedulerv1.Rule {
	r := &schedulerv1.Rule{}
	fs.StringVar(&r.Cron, "cron", "", "when: minute hour day month weekday, or six fields with seconds first")
	fs.StringVar(&r.Every, "every", "", "or: a fixed distance, from 1s up")
	fs.StringVar(&r.At, "at", "", "or: one moment")
	fs.StringVar(&r.Zone, "zone", "", "IANA name of the time zone, Europe/Prague (default UTC)")
	fs.StringVar(&r.Anchor, "anchor", "", "with --every: a moment at which it fires (default --start, else 1970-01-01)")
	fs.StringVar(&r.Start, "start", "", "nothing fires before this `time`")
	fs.StringVar(&r.End, "end", "", "nothing fires from this `time` on")
	fs.StringArrayVar(&r.Exclude, "exclude", nil, "`dates` without: 2026-12-24, 2026-12-24..2027-01-01, sat,sun (repeatable)")
	fs.StringVar(&r.Jitter, "jitter", "", "each is up to so much later, always the same for the same occurrence")
	fs.StringVar(&r.Gap, "gap", "", "a reading that is missing when the clocks go forward: `fire` at the change (default) or skip")
	fs.StringVar(&r.Overlap, "overlap", "", "one that comes twice when they go back: `first` (default), second or both")
	return r
}

// actionFlags say what happens.
type actionFlags struct {
	publish, subject string
	notify, code     string
	everybody        bool
	data             string
}

func (a *actionFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&a.publish, "publish", "", "what: a durable event, <`topic`>.<verb>")
	fs.StringVar(&a.subject, "subject", "", "with --publish: id of the object it is about")
	fs.StringVar(&a.notify, "notify", "", "or: a real-time event to this `user`")
	fs.BoolVar(&a.everybody, "notify-all", false, "or: to everybody of the tenant")
	fs.StringVar(&a.code, "code", "", "with --notify: the type of event (default CM_REMINDER)")
	fs.StringVar(&a.data, "data", "", "a JSON object, the content of a file (@file), or what comes in (-)")
}

func (a *actionFlags) action(std stdio) (*schedulerv1.Action, error) {
	count := 0
	for _, set := range []bool{a.publish != "", a.notify != "", a.everybody} {
		if set {
			count++
		}
	}
	if count != 1 {
		return nil, fault.New(fault.UsageError, "one of --publish, --notify and --notify-all is required: what shall happen?")
	}
	var data *schedulerv1.Data
	if a.data != "" {
		b, err := readData(a.data, std.in, longestData)
		if err != nil {
			return nil, err
		}
		data = &schedulerv1.Data{Json: b}
	}
	if a.publish == "" {
		if a.subject != "" {
			return nil, fault.New(fault.UsageError, "--subject goes with --publish")
		}
		return &schedulerv1.Action{Action: &schedulerv1.Action_Notify{
			Notify: &schedulerv1.Notify{User: a.notify, Code: a.code, Data: data},
		}}, nil
	}
	dot := strings.LastIndexByte(a.publish, '.')
	if dot < 0 {
		return nil, fault.New(fault.UsageError, "--publish: %q is not <topic>.<verb>", a.publish)
	}
	if a.code != "" {
		return nil, fault.New(fault.UsageError, "--code goes with --notify")
	}
	return &schedulerv1.Action{Action: &schedulerv1.Action_Publish{
		Publish: &schedulerv1.Publish{Topic: a.publish[:dot], Verb: a.publish[dot+1:], Subject: a.subject, Data: data},
	}}, nil
}
