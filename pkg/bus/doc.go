// Package bus is a service's connection to NATS, and the three things that must
// be right once for all services: connecting and draining, atomic batches, and
// the consumer loop that alone decides about ack, nak, term and dead letter.
//
//	Connect       one connection per process, reconnects for ever
//	PublishBatch  all or nothing, into one stream, with expectations (ADR-50)
//	Consume       handler's verdict → what JetStream is told:
//
//	  nil                      ack
//	  unavailable              nak, with a growing delay, for ever (hold.go)
//	  internal, anything else  nak, with a growing delay
//	  … attempts spent         dead letter, then term
//	  invalid                  dead letter, then term
//	  ctx cancelled            nak: the message comes again at once
//
// The package imports no server: pkg/bus/embed runs one inside the process,
// pkg/bus/bustest runs one for tests.
package bus
