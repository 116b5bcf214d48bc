package gateway

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// interest lets newcomers wait until the NATS server knows what they listen to, so
// that whoever has seen his connection open has his real-time events from then on.
// Those who come while a question is under way share the next one: a storm of
// connections asks as often as the server answers, and no oftener.
type interest struct {
	nc *nats.Conn

	mu     sync.Mutex
	asking bool
	next   chan struct{} // closes when those who wait on it have been heard
}

// interestWait is how long a newcomer waits when NATS does not answer: it is let in
// all the same, and has its events when NATS is back.
const interestWait = 2 * time.Second

// wait returns when the server knows of everything subscribed before the call.
func (i *interest) wait() {
	i.mu.Lock()
	if i.next == nil {
		i.next = make(chan struct{})
	}
	heard := i.next
	if !i.asking {
		i.asking = true
		go i.ask()
	}
	i.mu.Unlock()
	<-heard
}

// ask asks as long as somebody waits.
func (i *interest) ask() {
	for {
		i.mu.Lock()
		heard := i.next
		i.next = nil
		i.asking = heard != nil
		i.mu.Unlock()
		if heard == nil {
			return
		}
		if i.nc.IsConnected() {
			_ = i.nc.FlushTimeout(interestWait) // an error is a connection that will say it all when it is back
		}
		close(heard)
	}
}
