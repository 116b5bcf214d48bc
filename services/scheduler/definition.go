package scheduler

import (
	"encoding/json"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// definition is one schedule: what its user said, and where it stands. It is the
// JSON document under def.<tenant>.<id>; its sequence in SCHEDULES is its
// revision, and whoever changes it must know the newest.
type definition struct {
	Tenant      string        `json:"tenant"` // subject.Platform for the clock's
	ID          string        `json:"id"`
	Description string        `json:"description,omitempty"`
	Rule        calendar.Spec `json:"rule"`
	Action      action        `json:"action"`
	CatchUp     catchUp       `json:"catch_up"`
	Owner       string        `json:"owner,omitempty"`
	Created     time.Time     `json:"created"`
	Revision    int32         `json:"revision"` // of what users change

	// Arming counts what has been armed, and names it: an occurrence that falls due
	// with another number is an old one.
	Arming  uint64    `json:"arming"`
	Armed   *armed    `json:"armed,omitempty"` // nil: paused or deleted
	Settled time.Time `json:"settled"`         // occurrences up to here are done with
	Last    time.Time `json:"last,omitzero"`   // nominal time of the last that fired
	Fired   uint64    `json:"fired,omitempty"`
	Missed  uint64    `json:"missed,omitempty"`
	Paused  *paused   `json:"paused,omitempty"`
	Deleted bool      `json:"deleted,omitempty"` // what remains, for a day
}

// armed is the occurrence that a schedule waits for.
type armed struct {
	Nominal time.Time `json:"nominal,omitzero"`
	At      time.Time `json:"at"` // nominal and jitter
	// Forget: the rule has no further occurrence, and the definition is removed then.
	Forget bool `json:"forget,omitempty"`
}

type paused struct {
	At   time.Time `json:"at"`
	By   string    `json:"by,omitempty"`
	Note string    `json:"note,omitempty"`
}

// catchUp says what happens to occurrences that nobody was there to fire.
type catchUp struct {
	Policy string        `json:"policy,omitempty"`
	Window time.Duration `json:"window,omitempty"` // as late as this is too late; 0 = never too late
	Limit  int           `json:"limit,omitempty"`  // of all
}

// Policies of catching up.
const (
	once    = "once"    // the last that was missed
	all     = "all"     // each, the newest Limit of them
	skip    = "skip"    // none
	restart = "restart" // as once, and the interval begins anew: the clock's own intervals
)

const defaultLimit = 100

// dueDoc is the body of sched.… and so of due.…
type dueDoc struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
	Arming uint64 `json:"arming,omitempty"`
	Run    *run   `json:"run,omitempty"` // a run by hand, of no arming
}

// run is a run by hand.
type run struct {
	ID string    `json:"id"`
	At time.Time `json:"at"` // when it was asked for
	By string    `json:"by,omitempty"`
}

// address is where the schedule's messages are.
func (d *definition) address() subject.Schedule { return addressOf(d.Tenant, d.ID) }

// addressOf is the address of names that were checked when they came in.
func addressOf(tenant, id string) subject.Schedule {
	if tenant == subject.Platform {
		return subject.PlatformSchedule(id)
	}
	a, err := subject.ScheduleOf(tenant, id)
	if err != nil {
		panic("scheduler: a kept schedule has an address outside the grammar: " + err.Error())
	}
	return a
}

// live says that there is a schedule, not only what remains of one.
func (d *definition) live() bool { return d != nil && !d.Deleted }

// awaits says that a due occurrence is the one that is armed.
func (d *definition) awaits(due dueDoc) bool {
	return d.live() && d.Armed != nil && due.Run == nil && d.Arming == due.Arming
}

// rearm arms the first occurrence after the settled ones; without one the schedule
// has ended, and what is armed is its removal.
func (d *definition) rearm(rule calendar.Rule, now time.Time, keep time.Duration) {
	d.Arming++
	next, ok := rule.Next(d.Settled)
	if !ok {
		d.Armed = &armed{At: now.Add(keep), Forget: true}
		return
	}
	d.Armed = &armed{Nominal: next.Nominal, At: next.Nominal.Add(rule.Offset(d.ID, next.Nominal))}
}

// disarm makes whatever is armed, or fell due, an old one.
func (d *definition) disarm() {
	d.Arming++
	d.Armed = nil
}

// begin settles everything up to now: what was is not made up for, and what fired
// already does not fire again, also when the clock has been set back.
func (d *definition) begin(now time.Time) {
	for _, t := range []time.Time{now, d.Last} {
		if t.After(d.Settled) {
			d.Settled = t
		}
	}
}

// occurrence names the one at nominal: the id of the event that it becomes.
func (d *definition) occurrence(nominal time.Time) string {
	return d.ID + "@" + nominal.UTC().Format(time.RFC3339Nano)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("scheduler: " + err.Error()) // plain data; nothing in it can fail
	}
	return b
}
