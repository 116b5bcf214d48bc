package chaos

import (
	"math/rand/v2"
	"testing"
	"time"
)

// blow is something bad that can happen. It says to whom it did.
type blow struct {
	name   string
	strike func() string
}

// victims is what blows are dealt to.
type victims interface {
	blows() []blow
	wait(d time.Duration)
	settled() // waits until all is well again
}

// dealer deals blows from a bag of one of each kind, so that few rounds have all.
type dealer struct {
	random *rand.Rand
	bag    []int
}

// newDealer makes the choices of a seed, the same each time.
func newDealer(seed uint64) dealer { return dealer{random: rand.New(rand.NewPCG(seed, 0))} }

func (d *dealer) draw(blows []blow) blow {
	if len(d.bag) == 0 {
		d.bag = d.random.Perm(len(blows))
	}
	b := blows[d.bag[0]]
	d.bag = d.bag[1:]
	return b
}

// upTo is a random time.
func (d *dealer) upTo(longest time.Duration) time.Duration {
	return time.Duration(d.random.Int64N(longest.Milliseconds())) * time.Millisecond
}

// leaders are what can happen to whoever leads one of some streams: it dies, or it sleeps
// for longer than anybody waits for it, and goes on as if it were the leader still.
func (d *dealer) leaders(c *cluster, streams ...string) (blows []blow) {
	for _, stream := range streams {
		blows = append(blows, blow{"kill -9 of the leader of " + stream, func() string { return c.kill(c.leader(stream), d.upTo(2*time.Second)) }})
	}
	return append(blows, blow{"freeze of a leader", func() string {
		stream := streams[d.random.IntN(len(streams))]
		return "of " + stream + ", " + c.freeze(c.leader(stream), 5*time.Second+d.upTo(7*time.Second))
	}})
}

// rounds deals n blows, each after a quiet of up to the one that is given, and waits
// after each until all is well. It ends early when the test has failed.
func (d *dealer) rounds(t *testing.T, n uint64, quiet time.Duration, w victims) (done []round) {
	t.Helper()
	for i := range n {
		b := d.draw(w.blows())
		w.wait(d.upTo(quiet))
		r := round{from: time.Now()}
		r.name = b.name + ", " + b.strike()
		w.settled()
		r.till = time.Now()
		done = append(done, r)
		sayf(t, "round %d: %s: well after %s", i+1, r.name, r.till.Sub(r.from).Round(time.Millisecond))
		if t.Failed() {
			break
		}
	}
	return done
}
