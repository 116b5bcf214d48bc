// Package realtime sends real-time events to people who are there, and to nobody
// else (DESIGN RT1 to RT6). It is core NATS: nothing is stored, nothing is sent
// again, and what is sent by one goroutine arrives in that order.
//
//	Probe ── rt.<tenant>.u.<user>, Belfry-Probe: 1 ──▶ each gateway that has a
//	                                                   window of the user open
//	      ◀─ {"gateway","connections","gateways"} ──── and says how many
//	      ◀─ no responders ─────────────────────────── nobody, at once
//
//	Notify = Probe, and only if somebody is there: build the event, send it the
//	         same way without the header, and gather the same answers
//
// A gateway listens on a user's subject only while the user is connected to it, so
// the NATS server itself answers for everybody who is not: that costs microseconds
// and no payload is built. Each answer says at how many gateways the recipient is
// known to be; that many answers are all, and fewer within 100 ms are reported as
// not complete.
//
// Types and payloads are those of belfry/realtime/v1/realtime.proto.
package realtime
