package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

const defaultRounds = 6 // one of each blow

// setting reads a number from the environment.
func setting(t *testing.T, name string, or uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return or
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// round is what one of them did, and when.
type round struct {
	name       string
	from, till time.Time // from the blow until all is well
}

// TestEveryEffectOnceInOrder is the kill test of the relay.
func TestEveryEffectOnceInOrder(t *testing.T) {
	rounds := setting(t, "BELFRY_CHAOS_ROUNDS", defaultRounds)
	seed := setting(t, "BELFRY_CHAOS_SEED", rand.Uint64N(1_000_000))
	sayf(t, "%d rounds, BELFRY_CHAOS_SEED=%d", rounds, seed)
	c := &chaos{world: newWorld(t), dealer: newDealer(seed)}
	c.publisher = startPublisher(t, c.bus.JS)
	c.settled() // both have begun
	done := c.rounds(t, rounds, 500*time.Millisecond, c)
	if t.Failed() {
		return
	}
	c.publisher.end()
	published, last := c.publisher.soFar()
	c.relayed(last)
	c.count(published, done)
	for _, p := range c.workers {
		if code := p.stop(); code != 0 {
			t.Errorf("%s: exit code %d after SIGTERM", p.name, code)
		}
	}
}

// sayf tells the test's log and standard output, which shows while it runs.
func sayf(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf(format, args...)
	if !testing.Verbose() {
		fmt.Fprintf(os.Stdout, "chaos: "+format+"\n", args...)
	}
}

// chaos deals the blows.
type chaos struct {
	*world
	dealer
	publisher *publisher
}

func (c *chaos) blows() []blow {
	return append(c.leaders(c.cluster, source, target, box),
		blow{"kill -9 of the active worker", c.killWorker}, blow{"freeze of the active worker", c.freezeWorker})
}

// victim is the worker of a random relay.
func (c *chaos) victim() (relay string, p *process) {
	relay = []string{"partition-0", "partition-1", "box"}[c.random.IntN(partitions+1)]
	return relay, c.worker(relay)
}

// killWorker ends a worker; its successor stands by from then on.
func (c *chaos) killWorker() string {
	relay, p := c.victim()
	return relay + " on " + c.kill(p, c.upTo(time.Second))
}

// freezeWorker has one sleep longer than the pin, AckWait and every request, one time in
// four also longer than the server keeps a batch open.
func (c *chaos) freezeWorker() string {
	const requests, openBatch = 5 * time.Second, 10 * time.Second
	relay, p := c.victim()
	asleep := requests + 300*time.Millisecond + c.upTo(700*time.Millisecond)
	if c.random.IntN(4) == 0 {
		asleep += openBatch - requests
	}
	return relay + " on " + c.freeze(p, asleep)
}

// settled waits until the cluster is whole and an event of each partition that
// was published after this call has gone all the way.
func (c *chaos) settled() {
	c.t.Helper()
	c.healed()
	before, _ := c.publisher.soFar()
	bustest.Eventually(c.t, patience, "the publisher goes on", func() bool {
		n, _ := c.publisher.soFar()
		return n > before+3*partitions
	})
	_, last := c.publisher.soFar()
	c.relayed(last)
}
