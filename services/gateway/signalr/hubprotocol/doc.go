// Package hubprotocol is the language of SignalR's hubs: nine messages, in JSON
// or in MessagePack, and the handshake that chooses between the two.
//
//	handshake   {"protocol":"json","version":1} 0x1e     always JSON, also before MessagePack
//	answer      {} 0x1e, or {"error":"…"} 0x1e
//
//	JSON        object 0x1e object 0x1e …
//	MessagePack varint(length) array varint(length) array …
//
// A transport hands over bytes in whatever pieces they come: frames and bodies
// of clients hold many messages, or half of one. Protocol.Cut finds the
// messages, so that a limit is one per message and never one per frame.
//
// Arguments and results are JSON in either protocol: MessagePack is translated
// at this border, in both directions, so that nobody behind it needs two ways to
// read an argument.
//
// After the specification of ASP.NET Core (HubProtocol.md) and, where that is
// silent, its clients.
package hubprotocol
