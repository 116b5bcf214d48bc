// Package scheduler is the business clock: it raises the time events that every
// business day has, and the schedules that users make for themselves.
//
// The timer is JetStream's: an occurrence is armed as a message that the server
// moves to another subject when its time has come. So there is no leader, no
// polling and nothing to scan, any replica may die at any moment, and a hundred
// thousand armed occurrences are a hundred thousand small messages.
//
//	        arm                    when its time has come           decide
//	def.AA.x ──┐                    (the NATS server)
//	sched.AA.x ┴─ one batch ──▶ sched.AA.x ──▶ due.evt.AA.x ──▶ relay ──▶ EVENTS
//	    ▲                                      due.clock._.x ──▶ clock._.Noon
//	    │                                      due.rt.AA.x ────▶ windows
//	    └──────────────────────── settle: arm the next ◀────────────┘
//
// The way of an occurrence, each step a file:
//
//	definition.go  what a schedule is, and how its next occurrence is armed
//	store.go       SCHEDULES: every change is one batch, guarded by the definition's revision
//	look.go        what is left alone: decided by somebody who has all of it
//	decide.go      what becomes of an occurrence, and of those missed; arithmetic only
//	durable.go     due.evt: the relay into EVENTS, exactly once
//	live.go        due.clock, due.rt: core NATS, at least once with an id that says which
//	clock.go       the clock's own schedules, from the configuration
//	ensure.go      … armed at the start, and again when the machine's clock was set
//	manage.go      create, update, pause, …
//	calendar/      when a rule fires, in every zone
//
// # Promises
//
//	TM1  Periodic events: timeNew at every tick (2 minutes unless set), timeQH,
//	     timeHour, time47min.
//	TM2  Clock times, each configurable: Noon 12:02, Midnight 00:02, earlyMorning
//	     05:30, BOD 07:00, earlyAfternoon 13:12, EOD 18:00, timeNightControl21,
//	     22, 23, 1, 2, 3, 4, 5. Raised without tenant or user; none is stored.
//	TM3  Time events are never queued, and no handler blocks or delays another.
//	TM4  After a stop, a periodic event comes once, as soon as possible, however
//	     many intervals passed; the interval restarts.
//	TM5  After a stop, a clock time comes late if it is less than an hour late,
//	     else not at all. Every event says its nominal and its actual time.
//	TM6  Each occurrence fires once, however many replicas run, through leader
//	     change and crash.
//	TM7  Once per local date in every zone, on days with a gap or an overlap too.
//	TM8  Users' schedules: cron, interval, one-shot; zone, start, end, exclusions,
//	     jitter, pause, run now, catch-up, preview, and a history that also shows
//	     what was skipped.
package scheduler
