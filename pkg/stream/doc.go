// Package stream reads the messages that a stream of JetStream keeps, and takes them out:
//
//	At, Last, First, FirstSince   STREAM.MSG.GET   the leader's word, one message
//	Near                          DIRECT.GET       any replica's, one message
//	Page, Latest, Direct          DIRECT.GET       any replica's, many
//	Remove, Erase, Purge          STREAM.…         the leader's deed
//
// The client library's own reads are answered by any replica wherever the stream
// allows that, and a replica may be behind. Who must not miss what was stored a
// moment ago asks the leader; who reads much asks a replica, and the leader where
// the end is.
//
// That there is no such message is an answer and no error. The faults are
// unavailable, and stream_lost where the stream is missing, unless a room has its
// own [Stream.Down].
package stream
