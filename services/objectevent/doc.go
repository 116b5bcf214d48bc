// Package objectevent turns what source systems do to objects into events: which
// events an insert, an update, a move to the trash or a purge raises, in which
// order, and who may say no before it happens.
//
//	operation ─▶ OPERATIONS ─▶ consume.go ─▶ decide.go ─▶ raise.go ─▶ pkg/relay ─▶ EVENTS
//	                                          table.go                   └─ then
//	                                          trashread.go ◀── TRASH ◀── trashmove.go
//	change    ─▶ EVENTS ─▶ alertrelay.go ─▶ a tenant's rules ─▶ alert ─▶ EVENTS
//	question ─▶ before.go ─▶ deleting ─▶ EVENTS, hooks ─▶ verdict
//
// Begin with table.go: it is the seed, row by row.
//
// # Subjects
//
//	in    op.<tenant>.<topic>.<op>.<object>  a fact: insert, update, trash, restore,
//	                                         delete, purge, forget, status, activate
//	      svc.objectevent.Report             the same with an answer; also over HTTP
//	      svc.objectevent.BeforeDelete       asks before a delete; also over HTTP
//	out   evt.<tenant>.<topic>.<verb>        created, updated, deleting, deleted, …
//	      evt.<tenant>.operations.refused    a fact that is none
//	      evt.<tenant>.<target>.<verb>       alerts, where a rule says
//	      hook.<tenant>.<name>               calls a hook that was registered on NATS
//
// # State
//
// OPERATIONS, a queue in eight partitions over tenant and object, each with one
// durable, out of which goes what is relayed; TRASH, trash.<tenant>.<topic>.<object>,
// by compare-and-set with the operation's id; ctl.op.<tenant>.<id> in EVENTS, which
// operations have been relayed, for as long as EVENTS keeps it; VERDICTS, and buckets
// for hooks, deletions and alerts; ctl.alert.<tenant> and ctl.alerted.… in EVENTS, how
// rules changed and when they last spoke.
//
// # Promises
//
//	OE1  Insert and delete raise frm events for users' and back-end operations
//	     alike; an update for a user's always, for a back-end's when it asks.
//	OE2  To trash: deleting, then deleted. Restore: created, without a frm view.
//	     Delete without trash: deleting, answered after its handlers are done, then
//	     deleted. Purge from trash: nothing, but users' sys.userDeleted.
//	OE3  sys.newUser, sys.userChangeStatus, sys.userDelete (which a hook may veto)
//	     and sys.userDeleted, each exactly when the AyMINE text says.
//	OE4  Before-events are calls with a verdict. A dead or slow hook costs its
//	     timeout and no more. A delete only seen afterwards says so.
//	OE5  Alerts by rules that a tenant sets at run time: exactly from a place of the
//	     log on, each once, whatever crashes; begin with alerts.go.
//	OE6  Order per object is kept; an operation reported twice raises its events
//	     once.
package objectevent
