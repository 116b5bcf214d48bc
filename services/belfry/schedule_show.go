package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// How schedules look on a terminal. Times are shown as the clock on the wall of
// the rule's zone shows them, with the offset, so that they can be understood
// wherever they are read.

func onTheWall(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Mon 2006-01-02 15:04:05 -07:00")
}

// zoneOf is the zone of a rule; UTC if this machine does not know it.
func zoneOf(r *schedulerv1.Rule) *time.Location {
	if zone, err := calendar.Zone(r.GetZone()); err == nil {
		return zone
	}
	return time.UTC
}

// when is a rule in a few words.
func when(r *schedulerv1.Rule) string {
	var text string
	switch {
	case r.GetCron() != "":
		text = r.GetCron()
	case r.GetEvery() != "":
		text = "every " + r.GetEvery()
	default:
		text = "at " + r.GetAt()
	}
	if r.GetZone() != "" {
		text += " " + r.GetZone()
	}
	return text
}

// does is an action in a few words.
func does(a *schedulerv1.Action) string {
	if p := a.GetPublish(); p != nil {
		return "publish " + p.GetTopic() + "." + p.GetVerb()
	}
	n := a.GetNotify()
	if n.GetUser() == "" {
		return "notify everybody " + n.GetCode()
	}
	return "notify " + n.GetUser() + " " + n.GetCode()
}

// next is when a schedule fires next, or why it does not.
func next(s *schedulerv1.Schedule) string {
	switch p := s.GetPaused(); {
	case p != nil && p.GetNote() != "":
		return fmt.Sprintf("paused by %s: %s", p.GetBy(), p.GetNote())
	case p != nil:
		return "paused by " + p.GetBy()
	case s.GetNext() == nil:
		return "ended"
	}
	return onTheWall(s.GetNext().AsTime(), zoneOf(s.GetRule()))
}

// becomes is what a change has made of a schedule.
func becomes(s *schedulerv1.Schedule) string {
	switch {
	case s.GetState() == "armed" && s.GetNext().AsTime().Before(time.Now()):
		return s.GetId() + " fires at once, for " + next(s)
	case s.GetState() == "armed":
		return s.GetId() + " fires next " + next(s)
	}
	return s.GetId() + " is " + next(s)
}

// listSchedules shows them by id.
func listSchedules(out io.Writer, all []*schedulerv1.Schedule) error {
	byID := slices.SortedFunc(slices.Values(all), func(a, b *schedulerv1.Schedule) int { return strings.Compare(a.GetId(), b.GetId()) })
	return tabulate(out, "no schedules", "ID\tWHEN\tDOES\tFIRED\tMISSED\tNEXT", byID, func(s *schedulerv1.Schedule) []any {
		return []any{s.GetId(), when(s.GetRule()), does(s.GetAction()), s.GetFired(), s.GetMissed(), next(s)}
	})
}

// describe shows one schedule with everything that is set.
func describe(out io.Writer, s *schedulerv1.Schedule) error {
	var rows []string
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			rows = append(rows, name+"\t"+text)
		}
	}
	r, zone := s.GetRule(), zoneOf(s.GetRule())
	line("id", "%s", s.GetId())
	line("about", "%s", s.GetDescription())
	line("when", "%s", when(r))
	line("anchor", "%s", r.GetAnchor())
	line("from", "%s", r.GetStart())
	line("until", "%s", r.GetEnd())
	line("without", "%s", strings.Join(r.GetExclude(), ", "))
	line("jitter", "%s", r.GetJitter())
	line("gap", "%s", r.GetGap())
	line("overlap", "%s", r.GetOverlap())
	line("does", "%s", does(s.GetAction()))
	line("about object", "%s", s.GetAction().GetPublish().GetSubject())
	line("data", "%s", s.GetAction().GetPublish().GetData().GetJson())
	line("data", "%s", s.GetAction().GetNotify().GetData().GetJson())
	line("catch-up", "%s", catchUp(s.GetCatchUp()))
	if s.GetState() == "armed" {
		line("next", "%s", next(s))
	} else {
		line("state", "%s", next(s))
	}
	if last := s.GetLast(); last != nil {
		line("last", "%s", onTheWall(last.AsTime(), zone))
	}
	line("fired", "%d", s.GetFired())
	line("missed", "%d", s.GetMissed())
	line("made", "by %s, %s, revision %d", s.GetOwner(), s.GetCreated().AsTime().Format(time.RFC3339), s.GetRevision())
	return table(out, "", rows)
}

func catchUp(c *schedulerv1.CatchUp) string {
	text := c.GetPolicy()
	if c.Limit != nil {
		text += fmt.Sprintf(", the newest %d", c.GetLimit())
	}
	if c.GetWindow() != "" {
		text += ", up to " + c.GetWindow() + " late"
	}
	return text
}

// recount shows a history.
func recount(out io.Writer, entries []*schedulerv1.Entry) error {
	return tabulate(out, "nothing has happened yet", "NOMINAL (UTC)\tOUTCOME\tLATE BY\tOCCURRENCE", entries, func(e *schedulerv1.Entry) []any {
		return []any{e.GetNominal().AsTime().Format("2006-01-02 15:04:05"), outcome(e), late(e), e.GetOccurrence()}
	})
}

// late is how long after its nominal time an occurrence was decided, as exactly
// as anybody wants to know.
func late(e *schedulerv1.Entry) time.Duration {
	d := e.GetAt().AsTime().Sub(e.GetNominal().AsTime())
	switch {
	case d < time.Minute:
		return d.Round(time.Millisecond)
	case d < 24*time.Hour:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}

// outcome is what became of an occurrence in a few words.
func outcome(e *schedulerv1.Entry) string {
	text := e.GetOutcome()
	switch text {
	case "skipped":
		if text += " (" + e.GetReason() + ")"; e.GetCount() > 1 {
			text = fmt.Sprintf("%s, %d in a row", text, e.GetCount())
		}
		return text
	case "failed":
		text += " (" + e.GetReason() + ")"
	case "reached":
		text = fmt.Sprintf("reached %d windows", e.GetConnections())
		if e.GetConnections() == 1 {
			text = "reached 1 window"
		}
	case "nobody":
		text = "nobody was there"
	}
	if e.GetCount() > 0 {
		text = fmt.Sprintf("%s, %d missed before it", text, e.GetCount())
	}
	if e.GetBy() != "" {
		text += ", by hand: " + e.GetBy()
	}
	return text
}
