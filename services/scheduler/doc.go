// Package scheduler will be the business clock: it raises the time events that
// every business day has, and the schedules that users make for themselves.
// Nothing of it runs yet; this page is its promise.
//
// # Subjects
//
//	in    SCHEDULES (JetStream @at): due.<tenant>.<id>, by one pinned durable
//	      svc.scheduler.<Method>      create, pause, run now, preview, history
//	out   clock._.<name>              time events in the platform's zone  (core NATS)
//	      clock.<tenant>.<name>       … in the zone of a tenant that has its own
//	      rt.<tenant>.u.<user>        a schedule that reminds somebody: CM_REMINDER
//	      evt.<tenant>.<topic>.<verb> a schedule that makes a durable event, by relay
//
// <name> is what follows frm.time. in the AyMINE text, as it is spelled there.
//
// # State
//
// The stream SCHEDULES, without an age limit: def.<tenant>.<id>, the definition
// with its last nominal time and its pause; sched.<tenant>.<id>, the armed
// occurrence; due.<tenant>.<id>, the occurrence that fell due. Every transition
// is one atomic batch fenced by the sequence of def.<tenant>.<id>.
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
