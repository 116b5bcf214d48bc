package gateway

import (
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	// defaultDrainEach is the time between two goodbyes when there are few: a gateway
	// with a hundred windows is gone in half a second, whatever the window is.
	defaultDrainEach = 5 * time.Millisecond
	// drainStep is how often goodbyes are said: several at a time if there are many.
	drainStep = 5 * time.Millisecond
	// drainFor is how long those who were told goodbye last may take to leave.
	drainFor = 5 * time.Second
)

// StopWithin implements run.Patient.
func (s *Service) StopWithin() time.Duration { return s.config.DrainWindow + drainFor + 5*time.Second }

// drain ends the connections (GW7):
//
//	not ready, nobody may join ── goodbyes, spread over the window ── cut who stays
//
// Everybody is sent events until its own goodbye, with a code that says come back
// and resume; no two replicas get all of them in the same moment.
func (s *Service) drain() {
	s.serving.Store(false)
	s.hub.close()
	s.signalr.Drain()
	s.sayGoodbyes()
	select {
	case <-s.hub.empty:
	case <-time.After(drainFor):
	}
	s.end()
	for _, c := range s.hub.all() {
		c.kill()
	}
	<-s.hub.empty
	s.signalr.Stop()
}

// sayGoodbyes spreads them evenly, in an order that means nothing to anybody: that
// of a Go map.
func (s *Service) sayGoodbyes() {
	all := s.hub.all()
	window := min(s.config.DrainWindow, time.Duration(len(all))*s.drainEach)
	began := time.Now()
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for told := 0; told < len(all); {
		due := len(all)
		if passed := time.Since(began) + drainStep; passed < window {
			due = int(int64(len(all)) * int64(passed) / int64(window))
		}
		for ; told < due; told++ {
			all[told].shut(fault.Draining)
		}
		if told == len(all) {
			return
		}
		select {
		case <-tick.C:
		case <-s.hub.empty:
			return
		}
	}
}
