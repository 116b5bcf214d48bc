// Package api is the edge: the server every listener of Belfry is, the services'
// APIs on it and on NATS, and how answers and errors look.
//
// A Mux mounts a protobuf service once, and it answers by Connect, gRPC, gRPC-Web,
// plain HTTP routes and NATS requests, all through one chain:
//
//	trace ─▶ who is it? ─▶ too often? ─▶ handler ─▶ fault ─▶ metrics, log, audit
//
// Every error, of any route, is the JSON
//
//	{"code":"invalid_topic","message":"topic: must not be empty","details":{"field":"topic"}}
//
// with the status of its code (package fault). Code internal hides its cause from
// the caller and logs it.
package api
