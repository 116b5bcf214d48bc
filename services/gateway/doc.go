// Package gateway brings durable events to open windows, and takes events in
// over HTTP.
//
// It promises (numbers as in the platform's design):
//
//	GW1  one feed, two protocols: /v1/ws and /v1/sse, by topic and verb or by name
//	GW2  resume: whoever comes back with a cursor, on any replica, gets what was
//	     missed, in order, without gap or duplicate, or is told it is gone
//	GW3  no hole in the live feed: what NATS dropped is read from the log before
//	     anything newer is passed on
//	GW4  a slow reader delays nobody: its queue is bounded in bytes; real-time
//	     events that do not fit are dropped, oldest first, for others it is closed
//	     with a code that says reconnect and resume
//	GW5  a token ends its connection, or is renewed on it; one that is taken back
//	     closes it, and so may an operator, on every gateway
//	RT1  to RT6: real-time events reach every window of their recipient without
//	     subscribing, in order, and only if somebody is there
//	RT7  who is online, since when, on how many connections, over all gateways
//	GW6  POST /v1/events stores, GET /v1/events reads the log
//	GW7  who stops says goodbye first, spread over time, and loses nothing for those
//	     who resume
//	SR1  to SR4: clients of ASP.NET Core SignalR, as they are, with subscriptions by
//	     resource and action (signalr*.go, and the folder signalr)
//
// The way of one event, each step a file:
//
//	live.evt.<tenant>.…          republished by JetStream after commit
//	   │
//	feed.go        arrive: one goroutine, in order, fills holes from the log
//	   │
//	hub.go         route: who subscribed to this topic, verb or name?
//	   │           recent.go keeps what came lately, for resume.go
//	   │
//	delivery.go    encode: once per form and protocol, shared by all
//	   │
//	connection.go  queue: bounded in bytes; policy.go for the slow
//	   │
//	websocket.go   write: several events per frame, one write per batch
//	sse.go
//
// Subjects in: live.evt.<tenant>.> for each tenant with a connection here, by
// reference count. Subjects out: evt.… (POST). JetStream: reads EVENTS by
// direct get; no consumer. State: none that outlives the process.
package gateway
