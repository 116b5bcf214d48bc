// Package bus is a service's connection to NATS, and the three things that must
// be right once for all services: connecting and draining, atomic batches, and
// the consumer loop that alone decides about ack, nak, term and dead letter.
//
//	Connect       one connection per process, reconnects for ever
//	PublishBatch  all or nothing, into one stream, with expectations (ADR-50)
//	Consume       handler's verdict → what JetStream is told:
//
//	  nil                                  ack
//	  unavailable, internal, anything else nak, with a growing delay
//	  invalid                              dead letter, then term
//	  attempts spent                       dead letter, then term
//	  ctx cancelled                        nothing: the message comes again
//
// The package imports no server: pkg/bus/embed runs one inside the process,
// pkg/bus/bustest runs one for tests.
package bus
