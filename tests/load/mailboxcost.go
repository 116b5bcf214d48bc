package main

import (
	"fmt"
	"syscall"
	"time"
)

// effort is the CPU time that something took: that of the service or its stand-in,
// of NATS, and of this program, which is all the partners.
type effort struct{ service, nats, partners time.Duration }

// spent is what they have used since they started. The service may be nil.
func (c *cluster) spent(service *program) (e effort) {
	if service != nil {
		e.service = service.cpu()
	}
	for _, n := range c.nodes {
		e.nats += n.cpu()
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err == nil {
		e.partners = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	return e
}

// plus adds so many times what o is.
func (e effort) plus(o effort, times int64) effort {
	add := func(a, b time.Duration) time.Duration { return time.Duration(int64(a) + times*int64(b)) }
	return effort{add(e.service, o.service), add(e.nats, o.nats), add(e.partners, o.partners)}
}

func (e effort) by(n int) effort {
	if n == 0 {
		return e
	}
	return effort{e.service / time.Duration(n), e.nats / time.Duration(n), e.partners / time.Duration(n)}
}

func (e effort) String() string {
	return fmt.Sprintf("%d+%d+%d", e.service.Microseconds(), e.nats.Microseconds(), e.partners.Microseconds())
}

// pace is how often something is done in a second, and what each time takes.
type pace struct {
	rate float64
	each effort
}

// timed times f, which answers how often it did it.
func (c *cluster) timed(service *program, f func() (int, error)) (pace, error) {
	before, began := c.spent(service), time.Now()
	n, err := f()
	took := time.Since(began)
	return pace{float64(n) / took.Seconds(), c.spent(service).plus(before, -1).by(n)}, err
}

// bound is how often three empty calls and the steps can be done, one after the
// other.
func bound(calls, steps pace) pace {
	return pace{1 / (3/calls.rate + 1/steps.rate), steps.each.plus(calls.each, 3)}
}

// medianPace is the pace of median rate, with what that took.
func medianPace(all []pace) pace {
	byRate := map[float64]pace{}
	var rates []float64
	for _, p := range all {
		byRate[p.rate], rates = p, append(rates, p.rate)
	}
	return byRate[median(rates)]
}
