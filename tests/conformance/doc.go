// Package conformance holds pkg/event against the CloudEvents SDK for Go, an
// implementation that is not ours, in both directions and in every mode:
//
//	SDK writes ─▶ NATS binary, NATS structured, HTTP binary, structured, batch ─▶ we read
//	we write   ─▶ NATS binary, JSON                                            ─▶ the SDK reads
//
// Two habits of the SDK (v2.16.2) are pinned here because publishers will have
// them: it writes structured mode on NATS without a Content-Type header, and it
// does not percent-encode header values on NATS, nor decode ours.
package conformance
