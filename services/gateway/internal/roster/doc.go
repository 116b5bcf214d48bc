// Package roster knows who is online, over all gateways of a platform (RT7). Every
// gateway keeps the whole roster in memory, so that a question costs a map lookup,
// and tells the others what changes in its own part. Nothing is stored.
//
//	connection opens, closes ──▶ Enter, Leave ──▶ my seats ─┐
//	                                                        ├─▶ entries ──▶ Get, List, Gateways
//	another gateway's Roll (roster.all) ──▶ its seats ──────┘      │
//	  missed one? Ask it, and get all its seats                    ▼
//	  silent for 3 s? its seats are empty              presence.<tenant>.<user>
//
// # Cost
//
// A gateway says something every half second, and at most every 20 ms while
// something changes; changes in between share a message. A user costs a message
// nothing while nothing happens to him: 100,000 users online are two messages a
// second and gateway. Counts are kept, never made by looking at everybody.
//
// # Who announces
//
// Every gateway sees every change, and one of them announces it: the one that
// comes first when the live gateways are ordered by a hash with the user. What was
// the business of a gateway that turns out to be dead is announced by the next
// one. In the moment in which two gateways do not agree who is alive both may
// announce; the events then have the same id.
//
// # What counts as offline
//
// A user whose last connection closes stays online for the grace, so that a page
// that loads anew does not flap. A gateway that dies was last heard of when its
// users were last seen: they are offline 3 seconds after that, or when the grace is
// over if that is longer. A gateway that loses its own NATS connection believes
// nobody dead until it is back.
package roster
