// Package relay moves what follows from the messages of one stream into another
// stream, exactly once and in order, whatever crashes.
//
// A relay reads a durable consumer of the source. It writes, as one atomic
// batch, the effects of some source messages and a cursor that says how far it
// has come. All of a batch is stored or none, so effects and cursor cannot
// differ. An effect in a third stream goes through a relay of its own.
//
//	                 ┌───────────────────────────────────────────────┐
//	                 ▼                                               │
//	┌─────────┐  ┌────────┐ first delivery:  ┌──────────┐  ┌──────┐  │ conflict, gap in the deliveries,
//	│ opening ├─▶│standing├─────────────────▶│taking    ├─▶│ work ├──┘ connection or durable lost
//	└─────────┘  │by      │ the server has   │over      │  └──────┘
//	 streams,    └────────┘ pinned us        └──────────┘
//	 durable,     unsettled brought back,     1 read cursor and copy     1 take, Map (fails for good: dead letter)
//	 cursor fits  cursor kept young           2 write the cursor anew    2 batch: effects, cursor
//	                                          3 write the copy           3 copy; remove the cursor replaced
//	                                          4 reset the durable        4 AfterCommit
//	                                          5 Open                     5 acknowledge
//
// The cursor lies under one subject of the target, guarded by expected last
// subject sequence: its sequence there is a revision, and only who knows the
// newest revision can store a batch. It holds the source's epoch, the last
// sequence relayed, where in a message's effects the relay is if they are more
// than a batch takes, failed attempts on the message it is at, and a signature.
// Everything that decides is read from a leader.
//
// Read on in this order: options.go, session.go, standby.go, takeover.go,
// deliver.go, work.go, plan.go, commit.go.
//
//	r, err := relay.New(relay.Options{
//		Name: "copies", Bus: b,
//		Source: topology.Events, Filter: []string{"evt.*.*.*"},
//		Target: "COPIES", Cursor: "copies.cursor",
//		Map: func(ctx context.Context, m relay.Message) (relay.Effects, error) {
//			return relay.Effects{Msgs: []*nats.Msg{{Subject: "copies.a", Data: m.Data}}}, nil
//		},
//	})
//	…
//	err = r.Run(ctx) // in as many processes as you like: one works, the others stand by
//
// The copy of the cursor lies in a bucket of topology.Platform.
//
// # Why nothing is lost, doubled or reordered
//
// Take any crash, pause, or rival, between any two steps.
//
// Never twice. A batch is stored only if the cursor still is the revision its
// writer knows, and moves the cursor past what it holds. So two batches with the
// same source message cannot both be stored. A batch whose answer is lost is not
// guessed about: the cursor is read, and is either this very document (its
// signature says so), or unmoved, then the same batch is tried again, or
// another's, then this worker has lost.
//
// Never lost. A message is skipped only if its sequence is at or below the
// cursor, and acknowledged only after that. Taking over resets the durable to where
// the cursor knows everything to be settled, never to where the server believes it
// to be acknowledged, so everything above the cursor is delivered again, in order.
// That this worker has received all of it is proved by the server's delivery
// numbers: 1 after a reset, then each the next, all to the same pin, whose id the
// server makes anew whenever it pins a client. Any other number or id, or a
// reconnect, ends the session. So no worker takes the deliveries after two resets
// for those after one: if another client was pinned between, the id differs, else
// the numbers begin again. And every takeover writes the cursor before it resets,
// so whoever worked before has an old revision and stores nothing any more. Who
// lost does not acknowledge.
//
// Never reordered. Deliveries after a reset are in the order of the source, one
// worker stores one batch at a time, and the next one begins where the cursor is.
//
// The zombie, stopped at any step and woken later: before its batch, it is
// refused; after it, its acknowledgements are for messages below the cursor; its
// reset shows as a number out of turn to whoever works, who takes over again;
// its copy of the cursor is refused like a batch; what it deletes is the
// revision it had replaced.
//
// That only the pinned client gets deliveries also keeps rivals from working
// against each other; nothing above needs it, a pin is no lock.
//
// # What AfterCommit and the target's readers may rely on
//
// AfterCommit runs for every message after its effects are stored and before it
// is acknowledged, first calls in order; a worker that takes over runs it again for the
// last batch below the cursor, before Map is asked about anything above. So what it
// writes elsewhere, Map finds. AfterBatch is the same for a whole batch. Each batch
// writes into its cursor that the one before is settled; no acknowledgement is asked.
// Nothing new has to come for it: whoever stands by, and sees that nobody is pinned,
// has that batch delivered again.
//
// # Messages that cannot be relayed
//
// They hold up those behind them, because order is kept: while something is
// unavailable for ever, else for MaxAttempts, counted in the cursor (a reset
// restarts the server's count). Four times MaxAttempts takeovers without
// progress count as spent as well: the message may be what ends the process.
// Then the dead letter is written to an address of its own that must be empty
// (refused = it is there), and the next batch moves the cursor past it. A batch
// that the target refuses for its content is split until the message to blame
// is found.
//
// # A target that forgets
//
// EVENTS forgets by age, the cursor too. It is written anew at least daily, and
// copied to the bucket belfry_relay before anything is acknowledged. A cursor
// that is missing is taken from the copy; if there is none either, the relay goes on
// behind the ack floor. One window remains: a worker dies between a batch and its copy, and
// nobody runs the relay until the target has forgotten that batch (14 days).
// Then that batch, at most 1,000 effects that nobody can read any more, is
// stored once more.
//
// Two more things are believed, not proved. That NATS keeps what it has
// confirmed (a single replica without "sync: always" does not, in a power cut):
// a source that lost its end below the cursor is noticed and reported as
// epoch_mismatch; a target that lost its end is refilled from a source that still
// has it. And that the numbers of deliveries lost on the way between two servers do
// not, by chance, add up to the reset of a zombie at that moment.
//
// # What a source may be
//
// A stream with limits. One that the server empties by itself, a work queue or one by
// interest, is refused: a new leader of the durable removes from it what it takes for
// acknowledged, which after a reset may be more than was (deliveries of before,
// recorded behind it, hide those between from what is pending). A queue is a stream
// with limits whose owner takes out what AfterBatch has told it of, as the object
// events do.
package relay
