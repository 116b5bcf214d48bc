// Package mailbox will deliver events to partner systems that poll: in order,
// once, and however long they were away. Its HTTP interface is the one of the
// ITAS text, Events/Register to Events/Publish. Nothing of it runs yet; this
// page is its promise.
//
// # Subjects
//
//	in    EVENTS, by one relay      every durable event, and the records of who
//	                                subscribed when (ctl. in EVENTS)
//	      POST /Events/<Service>    Register, Subscribe, Peek, Receive, Confirm,
//	                                ViewSubscriptions, Unsubscribe, ViewTopics, Publish
//	      svc.mailbox.<Method>      the same on NATS
//	out   mbx.…                     copies that wait, in the stream MAILBOX
//	      evt.<tenant>.<topic>.…    what Publish publishes
//
// # State
//
// The stream MAILBOX, without an age limit: the copies, the table of
// subscriptions, and the relay's cursor, written together in one atomic batch.
// Nobody but this service may publish there. Locks and confirms live in a bucket.
//
// # Promises
//
//	MB1   Answers are 200, also empty ones ({}); any other status says what needs
//	      investigation. Keys are matched ignoring case.
//	MB2   Peek waits up to 90 seconds and wakes within milliseconds of the event.
//	MB3   Receive locks for lockTimeout seconds, 60 unless given; Confirm needs the
//	      lock, removes the message, and may be repeated.
//	MB4   A single poller sees events in the order they happened, over all its
//	      topics and comp codes; several pollers get different messages.
//	MB5   From the answer to Subscribe on, every matching event is delivered until
//	      it is confirmed; exactly once into the mailbox.
//	MB6   Ten days without polling remove a subscriber's mailboxes with their
//	      backlog, after a warning.
//	MB7   Unsubscribe deletes a mailbox and its backlog.
//	MB8   ViewTopics lists the catalogue; an unknown topic is not_found.
//	MB9   Any replica serves any call; nobody else can read a mailbox.
//	MB10  Batches, delivery counts, dead letters with redrive, quotas, replay.
//	MB11  The cost is flat in the number of mailboxes.
package mailbox
