// Package process is everything a Belfry process does around its services, the
// same in the all-in-one and in a service on its own.
//
//	settings ─▶ log ─▶ tracing ─▶ admin ─▶ nats ─▶ bus ─▶ topology ─▶ http ─▶ services ─▶ calls
//
// Parts start in this order, each when the one before is ready, and stop in
// reverse: not ready → calls over NATS end → the services say goodbye and end
// their long answers → HTTP finishes → the connection is drained → the embedded
// server is shut down and waited for.
//
// HTTP listens before the services are up, and answers 503 with code starting
// until all are, and draining once the stop has begun, but to those whom a service
// still expects.
//
// Whether a NATS server can run inside is the program's choice: it passes an
// Embedder, and this package does not import one.
package process
