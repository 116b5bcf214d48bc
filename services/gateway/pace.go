package gateway

import "time"

// pace says how often one client may send a frame: a token bucket in the form of
// the generic cell rate algorithm, one time for each connection. It belongs to the
// reading goroutine.
type pace struct {
	each time.Duration // that one frame takes to come back; 0 = no limit
	full time.Time     // when all will have come back
}

// paceBurst is how many seconds' worth of frames may come at once: a client that
// starts asks for all it wants in one go.
const paceBurst = 5

func newPace(perSecond int) pace {
	if perSecond == 0 {
		return pace{}
	}
	return pace{each: time.Second / time.Duration(perSecond)}
}

// allow counts one frame, or says that it is one too many.
func (p *pace) allow(now time.Time) bool {
	if p.each == 0 {
		return true
	}
	if p.full.Before(now) {
		p.full = now
	}
	if p.full.Sub(now) >= paceBurst*time.Second {
		return false
	}
	p.full = p.full.Add(p.each)
	return true
}
