package mailbox

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/subject"
)

// room is where Peeks wait. A notice names subscribers that have something new,
// idLength characters each; the whole process listens with one subscription.
type room struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool
}

func newRoom() *room { return &room{waiting: map[string]map[chan struct{}]bool{}} }

// enter gives a channel that has something in it once there is a notice for the
// subscriber.
func (r *room) enter(id string) (woken <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[id] == nil {
		r.waiting[id] = map[chan struct{}]bool{}
	}
	r.waiting[id][c] = true
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting[id], c)
		if len(r.waiting[id]) == 0 {
			delete(r.waiting, id)
		}
	}
}

// notice wakes those whom a notice names.
func (r *room) notice(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return
	}
	for ids := m.Data; len(ids) >= idLength; ids = ids[idLength:] {
		for c := range r.waiting[string(ids[:idLength])] {
			wake(c)
		}
	}
}

// all wakes everybody: notices may have been lost.
func (r *room) all() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, waiting := range r.waiting {
		for c := range waiting {
			wake(c)
		}
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// notify tells every replica that subscribers have something new. It is lost
// where somebody is not listening; then a waiting Peek finds out by itself.
func (s *Service) notify(ids []byte) {
	for len(ids) > 0 {
		part := ids[:min(len(ids), maxNotice)]
		ids = ids[len(part):]
		if err := s.nc.PublishMsg(&nats.Msg{Subject: subject.MailboxWake, Data: part}); err != nil {
			s.log.Debug("notice not sent")
			return
		}
	}
}

// maxNotice is the size of one notice in bytes, a multiple of idLength.
const maxNotice = 4096 * idLength
