// Load measures Belfry and, in the same run on the same machine, a raw program
// that does the least possible work for the same bytes, and prints both.
//
//	make bench                       everything
//	go run ./tests/load -only fanout -n 5000 -for 5s
//
// Servers run in processes of their own, so that their CPU time is theirs:
// bin/belfry, and this program again as a reference (-serve).
//
//	figure     ours                                    reference
//	start      bin/belfry run, all services, ready     an embedded NATS server with the stream, nothing else
//	publish    client.PublishAsync                     nats.go's PublishMsgAsync, same headers and ids
//	latency    publish → JetStream → gateway → window  … → a socket write of a frame encoded once ("prepared")
//	fanout     one event to every window               the same, prepared
//	signalr    the same, to clients of the SignalR hub    the same, to windows of our own protocol
//	relay      a relay working off a full stream       the same messages in as many raw atomic batches
//	mailbox    peek, receive, confirm over HTTP        what empty HTTP calls and the raw steps on NATS allow together
//	fanin      a full log into mailboxes               raw atomic batches of as many messages
//	operations a full queue of operations into EVENTS  raw batches of as many receipts and events, by eight writers
//	schedules  100,000 armed, and 1,000 due a second   bare JetStream @at messages, as many, as often
//	tokens     a token's text to a principal           golang-jwt, its text to claims, by one core
package main
