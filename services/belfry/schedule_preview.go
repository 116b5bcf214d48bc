package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/fault"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

func newSchedulePreview(std stdio) *cobra.Command {
	c := newTimetable(std)
	request := &schedulerv1.PreviewRequest{}
	var rule *schedulerv1.Rule
	var count int32
	cmd := &cobra.Command{
		Use:   "preview [<id>]",
		Short: "Show when a rule fires next",
		Long: `Show when a rule fires next, in local time and in UTC, and on which of those days
the clocks change. A rule given here is worked out here, and nothing needs to run;
with an id it is that schedule's, and the platform says.`,
		Example: `  belfry schedule preview --cron "30 2 * * *" --zone Europe/Prague --from 2026-10-24 --count 3
  belfry schedule preview --every 47m --exclude sat,sun
  belfry schedule preview daily-report`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 1000 {
				return fault.New(fault.UsageError, "--count: %d is not between 1 and 1000", count)
			}
			if len(args) == 0 {
				return c.previewHere(rule, request.GetFrom(), int(count))
			}
			if set := firstSet(cmd, "cron", "every", "at"); set != "" {
				return fault.New(fault.UsageError, "--%s and an id: which of them?", set)
			}
			request.Id, request.Count = args[0], &count
			return c.run(func(ctx context.Context, _ []string) error { return c.previewThere(ctx, request) })(cmd, args)
		},
	}
	fs := cmd.Flags()
	rule = ruleFlags(fs)
	fs.StringVar(&request.From, "from", "", "after this `time` (default now)")
	fs.Int32Var(&count, "count", 10, "how many")
	c.flags(cmd)
	return cmd
}

func firstSet(cmd *cobra.Command, names ...string) string {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

// previewHere works the rule out with this machine's time zone data.
func (c timetable) previewHere(r *schedulerv1.Rule, from string, count int) error {
	rule, err := calendar.Parse(calendar.Spec{
		Cron: r.GetCron(), Every: r.GetEvery(), Anchor: r.GetAnchor(), At: r.GetAt(), Zone: r.GetZone(),
		Start: r.GetStart(), End: r.GetEnd(), Exclude: r.GetExclude(), Jitter: r.GetJitter(), Gap: r.GetGap(), Overlap: r.GetOverlap(),
	})
	if err != nil {
		return err
	}
	after := time.Now()
	if from != "" {
		at, err := calendar.Parse(calendar.Spec{At: from, Zone: r.GetZone()})
		if err != nil {
			return fault.New(fault.UsageError, "--from: %q is no time (2026-10-25T02:30:00+02:00, \"2026-10-25 02:30\", 2026-10-25)", from)
		}
		after = at.At
	}
	release, _ := calendar.ZoneData()
	answer := &schedulerv1.PreviewResponse{ZoneData: release}
	for range count {
		o, ok := rule.Next(after)
		if !ok {
			break
		}
		after = o.Nominal
		_, change := calendar.ShiftOn(rule.Zone, o.Nominal)
		answer.Fires = append(answer.GetFires(), &schedulerv1.Fire{
			Nominal: timestamppb.New(o.Nominal), Local: o.Nominal.In(rule.Zone).Format(time.RFC3339),
			ClockChange: change, InGap: o.InGap, InOverlap: o.InOverlap,
		})
	}
	return c.show(answer, func() error { return preview{r, answer, count}.print(c.std.out) })
}

func (c timetable) previewThere(ctx context.Context, request *schedulerv1.PreviewRequest) error {
	request.Tenant = c.tenant
	answer, err := c.api.Preview(ctx, request)
	if err != nil {
		return err
	}
	have, err := c.api.Get(ctx, &schedulerv1.GetRequest{Tenant: c.tenant, Id: request.GetId()})
	if err != nil {
		return err
	}
	return c.show(answer, func() error {
		return preview{have.GetSchedule().GetRule(), answer, int(request.GetCount())}.print(c.std.out)
	})
}

// preview is an answer as people read it.
type preview struct {
	rule   *schedulerv1.Rule
	answer *schedulerv1.PreviewResponse
	asked  int
}

func (p preview) print(out io.Writer) error {
	zone := zoneOf(p.rule)
	const utc = "2006-01-02 15:04:05"
	head := zone.String() + "\tUTC"
	if zone == time.UTC {
		head = "UTC"
	}
	var rows []string
	for _, f := range p.answer.GetFires() {
		at := f.GetNominal().AsTime()
		if zone == time.UTC {
			rows = append(rows, at.Format("Mon "+utc)+"\t"+remark(f, zone))
		} else {
			rows = append(rows, onTheWall(at, zone)+"\t"+at.Format(utc)+"\t"+remark(f, zone))
		}
	}
	if len(p.answer.GetFires()) < p.asked {
		rows = append(rows, "and then never again")
	}
	return table(out, head, rows)
}

// remark says what is particular about a fire.
func remark(f *schedulerv1.Fire, zone *time.Location) string {
	var says []string
	at := f.GetNominal().AsTime()
	if shift, ok := calendar.ShiftOn(zone, at); ok && f.GetClockChange() {
		says = append(says, clocksGo(shift))
		switch {
		case f.GetInGap():
			says = append(says, "fires at the change")
		case f.GetInOverlap() && at.Before(shift.At):
			says = append(says, "fires the first time")
		case f.GetInOverlap():
			says = append(says, "fires the second time")
		}
	}
	if due := f.GetDue(); due != nil {
		says = append(says, "due "+due.AsTime().Sub(at).String()+" later")
	}
	return strings.Join(says, "; ")
}

// clocksGo says what the clock on the wall does: 02:00 becomes 03:00.
func clocksGo(s calendar.Shift) string {
	direction := "forward"
	if s.After < s.Before {
		direction = "back"
	}
	return fmt.Sprintf("clocks go %s, %s → %s", direction, s.At.Add(s.Before).Format("15:04"), s.At.Add(s.After).Format("15:04"))
}
