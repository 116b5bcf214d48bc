// Package event is the envelope: CloudEvents 1.0 on NATS, HTTP and in JSON,
// and the views of an event under the names the seeds gave them.
package event
