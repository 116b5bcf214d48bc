// Package eventlog reads the stream EVENTS by position: whole pages through
// direct get, which any replica may answer, and single messages from the
// leader, which is how a reader makes sure that a page's end was the end.
//
//	State   STREAM.INFO.EVENTS        the leader's first and last position
//	Page    DIRECT.GET.EVENTS         up to n messages; a replica may lag behind
//	Next    STREAM.MSG.GET.EVENTS     the leader's next message, for the seam
//
// A replica's log is a prefix of the leader's, so a page never has a hole in
// the middle; only its end may come too early. No consumer is created, so the
// number of readers costs the server nothing.
package eventlog
