// Package fault is the closed set of things that can go wrong in Belfry.
//
// A fault has a stable code that programs may compare, a kind that says what
// sort of trouble it is, a message for people, and, apart from both, a cause
// that only logs see. Every edge of the platform (HTTP, WebSocket, NATS, the
// command line) turns errors into answers through this package and its one
// table, so a code means the same everywhere.
//
//	inside                     at the edge
//	──────                     ───────────
//	fmt.Errorf("…: %w", err)   fault.From(err) ─┬─ HTTPStatus   (HTTP)
//	fault.New(code, …)                          ├─ CloseCode    (WebSocket)
//	fault.Wrap(code, err, …)                    ├─ ConnectCode  (Connect, gRPC)
//	                                            ├─ SetHeader    (NATS)
//	                                            └─ ExitCode     (process)
//
// Codes are listed in proto/README.md; a test keeps page and table equal.
package fault
