package subject

import "github.com/belfry-events/belfry/pkg/fault"

const (
	definition = "def"
	armed      = "sched"
	due        = "due"
	history    = "history"
	scheduled  = "sched" // after ctl
)

// Patterns of the streams SCHEDULES and SCHEDULEHISTORY.
const (
	ScheduleDefinitions = "def.*.*"     // what each schedule is, and where it stands
	SchedulesArmed      = "sched.*.*"   // the next occurrence of each
	SchedulesDue        = "due.>"       // occurrences that fell due, and runs by hand
	ScheduleHistory     = "history.*.*" // what became of occurrences
)

// Way is what a due occurrence becomes, named after the root of its subject.
type Way string

// The ways.
const (
	WayEvent    Way = evt   // a durable event
	WayRealtime Way = rt    // a real-time event
	WayClock    Way = clock // a time event
)

// Due is every occurrence that falls due this way, due.<way>.>.
func (w Way) Due() string { return join(due, string(w), rest) }

// Schedule is the address of one schedule.
type Schedule struct{ tenant, id string }

// ScheduleOf is a tenant's schedule; its id is any name of up to 128 bytes. Code
// invalid_name.
func ScheduleOf(tenant, id string) (Schedule, error) {
	if err := CheckTenant(tenant); err != nil {
		return Schedule{}, err
	}
	const longest = 128
	if len(id) > longest {
		return Schedule{}, fault.Field(fault.InvalidName, "id", "%d bytes are above the maximum of %d", len(id), longest)
	}
	if err := checkName(fault.InvalidName, "id", id); err != nil {
		return Schedule{}, err
	}
	return Schedule{escape(tenant), escape(id)}, nil
}

// PlatformSchedule is one of the platform's own, the clock's: def._.<id>.
func PlatformSchedule(id string) Schedule { return Schedule{Platform, escape(id)} }

// TenantSchedules is the definitions of a tenant, def.<tenant>.*; Platform for
// those of the clock.
func TenantSchedules(tenant string) string {
	if tenant != Platform {
		tenant = escape(tenant)
	}
	return join(definition, tenant, "*")
}

// TenantHistory is what became of a tenant's schedules, history.<tenant>.*.
func TenantHistory(tenant string) string { return join(history, escape(tenant), "*") }

// Definition is where the schedule's definition is kept: def.<tenant>.<id>.
func (s Schedule) Definition() string { return join(definition, s.tenant, s.id) }

// Armed is where its next occurrence waits: sched.<tenant>.<id>.
func (s Schedule) Armed() string { return join(armed, s.tenant, s.id) }

// Due is where an occurrence comes when its time has come: due.<way>.<tenant>.<id>.
func (s Schedule) Due(w Way) string { return join(due, string(w), s.tenant, s.id) }

// Run is Due of one run by hand, so that it takes no occurrence's place.
func (s Schedule) Run(w Way, run string) string { return join(s.Due(w), escape(run)) }

// History is where it is kept what became of occurrences: history.<tenant>.<id>.
func (s Schedule) History() string { return join(history, s.tenant, s.id) }

// Record is where EVENTS keeps which occurrence was the last: ctl.sched.<tenant>.<id>.
func (s Schedule) Record() string { return join(ctl, scheduled, s.tenant, s.id) }

// Clock is the subject of a time event: clock.<tenant>.<name>, with Platform for
// those of the platform's own zone.
func Clock(tenant, name string) string {
	if tenant != Platform {
		tenant = escape(tenant)
	}
	return join(clock, tenant, escape(name))
}
