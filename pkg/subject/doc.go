// Package subject is the grammar of Belfry's NATS subjects, and the only place
// where a dot between two tokens is typed.
//
//	evt.<tenant>.<topic>.<verb>          durable events, kept in EVENTS
//	live.evt.<tenant>.<topic>.<verb>     the same, republished after commit
//	ctl.…                                control records in EVENTS, not republished:
//	ctl.relay.<relay>                      a relay's cursor
//	ctl.op.<tenant>.<operation>            an operation that has been relayed
//	ctl.sub.<subscriber>                   who subscribed when
//	ctl.alert.<tenant>                     which alert rule changed, and how
//	ctl.alerted.<tenant>.<rule>.<object>   a rule's last alert about an object
//	ctl.sched.<tenant>.<schedule>          the last occurrence that became an event
//	rt.<tenant>.u.<user>                 real-time event to one user   (never stored)
//	rt.<tenant>.all, rt._.all            … to a tenant, to everybody   (never stored)
//	clock.<tenant>.<name>, clock._.…     time events                   (never stored)
//	presence.<tenant>.<user>             online and offline            (never stored)
//	roster.all, roster.u.<gateway>       gateways tell each other who is connected
//	hub.<connection>                     which gateway has a connection of the SignalR hub
//	                                     (never stored, nobody else's)
//	mbx.m.<subscriber>.<subscription>    copies that wait, kept in MAILBOX; beside them
//	mbx.t.…, mbx.d.…                       the table of subscriptions, dead letters
//	wake.mbx                             who has something new         (never stored)
//	dead.<consumer>.<epoch>-<sequence>   what was given up, kept in DEADLETTERS
//	op.<tenant>.<topic>.<op>.<object>    what a source system did, kept in OPERATIONS
//	op.<0-7>.<tenant>.….<object>           as it is stored there
//	trash.<tenant>.<topic>.<object>      trash state, kept in TRASH
//	trash._.fence.<partition>            what a worker writes there first
//	hook.<tenant>.<name>                 a hook is asked               (never stored)
//	verdict.<tenant>.<hook>              what hooks answered, kept in VERDICTS
//	def.<tenant>.<schedule>              a schedule's definition, kept in SCHEDULES; beside it
//	sched.<tenant>.<schedule>              its next occurrence, armed
//	due.<way>.<tenant>.<schedule>          the occurrence that fell due; way: evt, rt, clock
//	history.<tenant>.<schedule>          what became of occurrences, kept in SCHEDULEHISTORY
//	svc.<service>.<Method>               the services' APIs
//
// A token that comes from outside (tenant, user, topic, verb, id) is escaped:
// every byte outside [A-Za-z0-9-] becomes "=" and two upper-case hex digits.
// That is legal in subjects and in key-value keys, and leaves "_" to us: no
// tenant's name can be the platform's own "_". At most 255 bytes before
// escaping, never empty. Topic and verb are compared ignoring case, so they are
// folded to lower case before they become an address; the spelling received
// stays in the event.
package subject
