// Package chaos kills processes and counts. Three NATS servers (bin/belfry nats)
// and two workers run beside a publisher that never stops; each round ends, or
// freezes and wakes, one of them at a random moment. At the end every event must
// have had its effects once, in order:
//
//	publisher ──▶ CHAOS (two partitions) ──relays──▶ EVENTS ──relay──▶ BOX
//
// The first relays write into a stream that forbids rollup, as those of the object
// events do; the second writes where rollup is allowed, as the mailboxes' does.
//
// The services are put to the same test, each in a file of its name: two replicas
// of it on three NATS servers, under load, killed and frozen; what its users were
// promised is counted at the end.
//
//	make test                                a few rounds
//	make chaos                               a hundred, and more that takes long
//	BELFRY_CHAOS_ROUNDS=20 BELFRY_CHAOS_SEED=7 go test -v ./tests/chaos
//	make chaos SCHEDULES=5000 FREEZE=60      … a thousand occurrences a second, and a
//	                                         scheduler that sleeps for a minute (the defaults)
//
// A seed repeats the choices, not the race between the processes.
package chaos
