package subject

// RelayCursors are the cursors of all relays into EVENTS.
var RelayCursors = join(ctl, relayRecord, "*")

// AllKeys are the addresses of everything in a bucket.
func AllKeys(bucket string) string { return Key(bucket, ">") }
