package relay

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
)

// deliveries are what the server sends this client, seen by one goroutine. It
// proves that they are complete: the server numbers what a consumer delivers, a
// reset starts with 1, and every pinning has an id, so numbers 1, 2, 3, … to one
// id are everything since the reset. Whatever else comes ends the session.
type deliveries struct {
	messages jetstream.MessagesContext
	pinned   chan struct{}  // the server has sent something
	queue    chan *delivery // what is to be relayed or acknowledged

	gate  sync.Mutex
	live  bool      // after the take-over
	armed time.Time // when live began
	next  uint64    // number expected
	since string    // the pin that number 1 came to
	high  uint64    // highest source sequence seen since live
}

type delivery struct {
	Message
	number uint64 // of the delivery
	ack    func() error
}

// headerPin is what the server adds to every delivery to the pinned client.
const headerPin = "Nats-Pin-Id"

// staleWithin is how long after a reset deliveries from before it may arrive.
const staleWithin = 2 * time.Second

// deliver starts pulling. A pull ends well before the pin does, so that an idle
// worker keeps it.
func (s *session) deliver() (err error) {
	expiry := max(s.o.PinnedTTL/3, time.Second)
	connections := s.o.Bus.NC.Stats().Reconnects
	s.pinned, s.queue = make(chan struct{}, 1), make(chan *delivery, s.o.Prefetch)
	s.messages, err = s.consumer.Messages(
		jetstream.PullPriorityGroup(group),
		jetstream.PullMaxMessages(s.o.Prefetch),
		jetstream.PullExpiry(expiry),
		jetstream.PullHeartbeat(min(expiry/2, 5*time.Second)),
		jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
	if err != nil {
		return fmt.Errorf("relay %s: pull from its consumer: %w", s.o.Name, err)
	}
	s.over.Go(func() {
		for {
			m, err := s.messages.Next()
			if err == nil && s.o.Bus.NC.Stats().Reconnects != connections {
				err = fmt.Errorf("the connection was lost: %w", errGap)
			}
			if err == nil {
				err = s.receive(m)
			}
			if err != nil {
				s.cancel(err)
				return
			}
		}
	})
	return nil
}

// receive looks at one delivery.
func (s *session) receive(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("a delivery without a position: %w", err)
	}
	d := &delivery{number: meta.Sequence.Consumer, ack: m.Ack, Message: Message{
		Subject: m.Subject(), Header: m.Headers(), Data: m.Data(),
		At: event.Cursor{Epoch: s.epoch, Seq: meta.Sequence.Stream}, Stored: meta.Timestamp,
	}}
	wanted, err := s.judge(d)
	if err != nil || !wanted {
		return err
	}
	select {
	case s.queue <- d:
	case <-s.ctx.Done():
	}
	return nil
}

// judge says whether a delivery is wanted: not the leftovers from before a
// reset, nor what the session holds already and was sent again because it took
// longer than AckWait. What was relayed and is sent again wants its
// acknowledgement.
func (s *session) judge(d *delivery) (bool, error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	pin := d.Header.Get(headerPin)
	d.Header.Del(headerPin)
	s.setPin(pin)
	switch {
	case !s.live:
		select {
		case s.pinned <- struct{}{}:
		default:
		}
		return false, nil
	case d.number != s.next && s.next == 1 && time.Since(s.armed) < staleWithin:
		return false, nil
	case d.number != s.next || s.next > 1 && pin != s.since:
		return false, fmt.Errorf("delivery %d came to %s, not %d to %s: %w", d.number, pin, s.next, s.since, errGap)
	}
	s.next, s.since = s.next+1, pin
	if d.At.Seq > s.high {
		s.high = d.At.Seq
		return true, nil
	}
	return d.At.Seq <= s.relayed.Load(), nil
}

// begin expects the first delivery after a reset.
func (s *session) begin() {
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.live {
		s.live, s.next = true, 1
	}
	s.armed = time.Now()
}
