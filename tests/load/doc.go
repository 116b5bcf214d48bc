// Load measures Belfry and, in the same run on the same machine, a raw program
// that does the least possible work for the same bytes, and prints both.
//
//	make bench                       everything
//	go run ./tests/load -only fanout,user -n 5000 -for 5s
//
// Servers run in processes of their own, so that their CPU time is theirs:
// bin/belfry, and this program again as a reference (-serve).
//
//	figure     ours                                    reference
//	start      bin/belfry run, all services, ready     an embedded NATS server with the stream, nothing else
//	publish    client.PublishAsync                     nats.go's PublishMsgAsync, same headers and ids
//	fanout     one event to every window               prepared: a socket write of a frame encoded once, and
//	                                                   raw: one Write of coder/websocket, for each delivery
//	user       each event to one user's three windows, the same
//	           as fast as they come
//	paced      the same at -rate, and its latency      the same
//	idle       connects, memory and CPU of a window    the same
//	slow       latency among windows that never read   the same without them
//	storm      everybody resumes at once after         the limits it must stay below; publishes before
//	           kill -9; publishes meanwhile
//	relay      a relay working off a full stream       the same messages in as many raw atomic batches
//	mailbox    peek, receive and confirm over HTTP     three HTTP calls that do nothing, and then the steps on
//	                                                   NATS; raw: both, in a program that does nothing else
//	schedules  armed, started again, and firing; the   JetStream's own timer in the same stream: a message
//	           memory of NATS and of the scheduler     each, that fires once and that nobody arms again
//	tokens     a token's text to a principal           golang-jwt, its text to claims, by one core
//
// Events to users are real-time ones, and stored ones with -durable. CPU figures of
// windows include their NATS server, which is a process of its own, too.
package main
