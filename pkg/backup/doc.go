// Package backup takes a copy of everything Belfry keeps in JetStream, and makes a
// platform of it again.
//
//	backup                                       directory
//	1 look: nothing but publishers writes        backup.json        streams, configurations, sums
//	2 snapshot stream after stream        ────▶  EVENTS.snapshot    what the server sends, as it comes
//	3 look again: was that so all the time?      KV_belfry_….snapshot
//
//	restore, into a server without our streams
//	1 sums of all files
//	2 the memory of the streams           from here on no service starts: streams it knows are missing
//	3 the others, with new epochs where positions were given out
//	4 the epochs inside documents
//	5 EVENTS                              from here on services may start
//	6 the cursors of relays that read and write EVENTS; until then those wait (epoch_mismatch)
//
// # Why the streams fit each other
//
// A snapshot is one moment of one stream; the streams of a backup are taken at
// different moments. They fit if no relay has moved in between: the cursor in the
// target then is at or below what the source had at the first moment, and nothing
// above the cursor was acknowledged or taken out of a queue, so it is still there. What
// publishers add meanwhile is in a source or is not, and either is a moment that was.
//
// So the backup looks before the first and after the last snapshot: streams that
// only services write must be unchanged to the message, and under ctl. in EVENTS,
// where relays into the log keep their cursors, the last message must be the same.
// If not, the backup is thrown away (backup_unsteady). Services that are idle need
// not be stopped; those that are busy are: mailbox, objectevent, scheduler. Gateways
// go on, and so do publishers over NATS.
//
// # Why epochs are renewed
//
// Restoring goes back in time. Positions given out after the backup, to windows and
// partners, would be taken for those of other events once the log has grown there
// again. So streams whose positions leave the platform get a new epoch: what was
// given out is answered as gone, never with something else. What is inside the
// backup stays true, because all of it is of one time: cursors of relays, states of
// mailboxes and copies of alert rules keep their numbers and get the new epoch's name.
//
// A store that was copied with its disks (all servers stopped) has the same problem
// without the remedy. Start NATS alone from it, take a backup, restore that.
package backup
