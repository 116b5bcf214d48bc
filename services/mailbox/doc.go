// Package mailbox delivers events to partner systems that poll: in order, once,
// and however long they were away. Its HTTP interface is the one of the ITAS text,
// Events/Register to Events/Publish.
//
// It promises (numbers as in the platform's design):
//
//	MB1   Answers are 200, also empty ones ({}); any other status says what needs
//	      investigation. Keys are matched ignoring case; one that a call does not
//	      have is refused, because a misspelt timeout would wait for 90 seconds.
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
//	MB8   ViewTopics lists the catalogue; an unknown topic is topic_unknown.
//	MB9   Any replica serves any call; nobody else can read a mailbox.
//	MB10  Batches, delivery counts, dead letters with redrive, quotas, replay.
//	MB11  The cost is flat in the number of mailboxes.
//
// The way of one event, each step a file:
//
//	EVENTS, by one relay
//	   │
//	fanout.go      which mailboxes take it? table.go knows; record.go says since when
//	   │
//	MAILBOX        copies, table and cursor in one atomic batch
//	   │
//	wait.go        whoever waits for it is woken
//	   │
//	peek.go        names the first free copy; survey.go finds it
//	receive.go     locks it
//	confirm.go     confirms it, then deletes the copy
//
// # State
//
// The stream MAILBOX, without an age limit: the copies, the table of mailboxes,
// dead letters, and the relay's cursor. Nobody but this service may publish there.
// The bucket belfry_mailbox has one document per subscriber (state.go), changed
// only by compare-and-set (document.go), which alone says what is locked and what
// is confirmed. The bucket belfry_topics is the catalogue.
//
// Everything it does to NATS apart from the relay is one request each, through a
// stream.Caller, and may be cut off before or after: the model test ends the
// process there and compares with a mailbox in memory.
package mailbox
