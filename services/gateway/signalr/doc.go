// Package signalr lets clients of ASP.NET Core SignalR connect, unmodified: the
// hub of the PORTOS text, at /signalr/v1/mainHub.
//
//	POST negotiate ──▶ a sealed token, nothing is kept (token.go)
//	     │
//	GET  with the token: WebSocket, event stream, or long poll (socket.go, stream.go, poll.go)
//	     │                POST brings what the client of the last two sends (serve.go)
//	     ▼
//	Conn: handshake, then calls in, one after the other (incoming.go, call.go)
//	     │
//	   Host.Enter ──▶ Window, a connection of the gateway as any other
//	     ▲                   │
//	     └── Write, Goodbye, Abort ◀── its queue, its limits, its one writer
//
// What is sent to clients comes out of the gateway's queue, through Conn.Write;
// this package queues nothing of its own but what a stateful client has not yet
// acknowledged (replay.go). One clock looks at all connections (clock.go); an idle
// one has no timer, and no goroutine but a WebSocket's reader.
//
// A token says who it was made for and until when, under a seal that every
// replica can check. So any replica may take the first request that shows it; all
// later ones must come to the same. One that does not is told so, which Peers is
// for.
package signalr
