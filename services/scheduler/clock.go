package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// hand is one of the clock's events.
type hand struct {
	name  string
	value string // a duration of an interval, or a time of day; "off" = never
}

// intervals and times are the AyMINE text's, names as it spells them.
var (
	intervals = []hand{
		{"timeNew", "2m"}, // each tick: "usually 2 minutes in the production environment"
		{"timeQH", "15m"},
		{"timeHour", "1h"},
		{"time47min", "47m"},
	}
	times = []hand{
		{"Noon", "12:02"},
		{"Midnight", "00:02"},
		{"earlyMorning", "05:30"},
		{"earlyAfternoon", "13:12"},
		{"BOD", "07:00"},
		{"EOD", "18:00"},
		{"timeNightControl21", "21:21"},
		{"timeNightControl22", "22:22"},
		{"timeNightControl23", "23:23"},
		{"timeNightControl1", "01:00"},
		{"timeNightControl2", "02:00"},
		{"timeNightControl3", "03:00"},
		{"timeNightControl4", "04:00"},
		{"timeNightControl5", "05:00"},
	}
)

const (
	off = "off"

	// lateWindow: "If system stops for less then 1 hour they are raised postponed."
	lateWindow = time.Hour
)

// strikes are the clock's schedules as c has them: the intervals once, because they
// are the same everywhere; the times of day in the platform's zone and in those of
// tenants.
func (c Config) strikes(now time.Time) ([]*definition, error) {
	set, err := c.hands()
	if err != nil {
		return nil, err
	}
	zones, err := c.zones()
	if err != nil {
		return nil, err
	}
	var all []*definition
	for _, h := range intervals {
		spec := calendar.Spec{Every: set[h.name], Anchor: anchorAt(now).Format(time.RFC3339)}
		if all, err = arm(all, subject.Platform, h.name, spec, catchUp{Policy: restart}, now); err != nil {
			return nil, err
		}
	}
	for _, z := range zones {
		for _, h := range times {
			spec := calendar.Spec{Cron: set[h.name], Zone: z.zone}
			if all, err = arm(all, z.tenant, h.name, spec, catchUp{Policy: once, Window: lateWindow}, now); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// anchorAt is where an interval that begins now is anchored: whole seconds are enough,
// and read better.
func anchorAt(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }

// arm adds one of the clock's schedules, unless it is off.
func arm(all []*definition, tenant, name string, spec calendar.Spec, late catchUp, now time.Time) ([]*definition, error) {
	if spec.Cron == off || spec.Every == off {
		return all, nil
	}
	if _, err := calendar.Parse(spec); err != nil {
		return nil, fault.Field(fault.InvalidConfig, "scheduler.clock", "%s: %s", name, err)
	}
	id := name
	if tenant != subject.Platform {
		id = tenant + "." + name
	}
	return append(all, &definition{
		Tenant: subject.Platform, ID: id, Rule: spec, CatchUp: late, Created: now, Settled: now,
		Action: action{Clock: &strike{Tenant: tenant, Name: name}},
	}), nil
}

// hands are the values of all names: durations of intervals, and cron expressions
// of times of day.
func (c Config) hands() (map[string]string, error) {
	set := map[string]string{}
	for _, h := range slices.Concat(intervals, times) {
		set[h.name] = h.value
	}
	for _, entry := range c.Clock {
		name, value, ok := strings.Cut(entry, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if _, known := set[name]; !ok || !known {
			return nil, fault.Field(fault.InvalidConfig, "scheduler.clock", "%q is not name=value; the names are %s", entry, handNames())
		}
		set[name] = value
	}
	for _, h := range times {
		if set[h.name] == off {
			continue
		}
		cron, err := timeOfDay(set[h.name])
		if err != nil {
			return nil, fault.Field(fault.InvalidConfig, "scheduler.clock", "%s: %q is no time of day such as 12:02 or 12:02:30, and not off", h.name, set[h.name])
		}
		set[h.name] = cron
	}
	return set, nil
}

// timeOfDay is a time of day as a cron expression.
func timeOfDay(text string) (string, error) {
	layout := "15:04"
	if strings.Count(text, ":") > 1 {
		layout = time.TimeOnly
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d %d * * *", t.Second(), t.Minute(), t.Hour()), nil
}

func handNames() string {
	names := make([]string, 0, len(intervals)+len(times))
	for _, h := range slices.Concat(intervals, times) {
		names = append(names, h.name)
	}
	return strings.Join(names, ", ")
}
