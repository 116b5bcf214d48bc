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

// rounds deals n blows, each after a quiet of up to the one that is given, and waits
// after each until all is well. It ends early when the test has failed.
func (d *dealer) rounds(t *testing.T, n uint64, quiet time.Duration, w victims) (done []round) {
	t.Helper()
	for i := range n {
		b := d.draw(w.blows())
		w.wait(time.Duration(d.random.Int64N(quiet.Milliseconds())) * time.Millisecond)
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
