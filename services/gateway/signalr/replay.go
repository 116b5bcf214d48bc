package signalr

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// keepBytes is how much may be unacknowledged (.NET: StatefulReconnectBufferSize).
// Above it the writer waits, and behind it the window's queue fills, whose limit
// ends the connection. Nothing is dropped in silence, and nobody else waits.
const keepBytes = 100_000

// ackAfter is how long after a message its acknowledgement goes, for all that came
// meanwhile.
const ackAfter = time.Second

// replay is what makes a connection outlive its socket. Either side numbers what
// it sends of the counted kinds, from 1, and keeps it until the other has
// acknowledged it. Whoever comes back on a new socket says first with which
// number it goes on, and sends again everything from there:
//
//	… 7 8 9 ✂        new socket   Sequence 8 · 8 · 9 · 10 …      (8 was acknowledged? then Sequence 9)
//	received up to 8              8 is a duplicate, 9 goes on
type replay struct {
	mu   sync.Mutex
	sent int64 // number of the newest
	kept []keptMessage
	size int
	room chan struct{} // closes when something is acknowledged

	counting chan struct{} // closes when the client counts what it receives
	begin    func()        // closes it

	// Of the reader, under Conn.in.
	next   int64 // number of the next message to come
	newest int64 // that has come
	acking bool  // an acknowledgement is on its way; under mu
}

// keptMessage is a Message and the numbers of what is counted in it.
type keptMessage struct {
	first, last int64
	Message
}

func newReplay() *replay {
	counting := make(chan struct{})
	return &replay{next: 1, counting: counting, begin: sync.OnceFunc(func() { close(counting) })}
}

// countsWithin is how long a client may take to say something behind the handshake.
// Microsoft's does at once, and counts from there: what comes in one piece with the
// answer to the handshake it takes without counting, and would be sent it again when
// it comes back.
const countsWithin = 2 * time.Second

// uncounted are the messages at the front of a write that need not wait until the
// client counts; all of them, once it does.
func (r *replay) uncounted(messages []Message) int {
	select {
	case <-r.counting:
		return len(messages)
	default:
	}
	n := slices.IndexFunc(messages, func(m Message) bool { return m.Counted > 0 })
	if n < 0 {
		return len(messages)
	}
	return n
}

// keep numbers and keeps messages. Nil: done; else what to wait for. One write
// always fits, however large.
func (r *replay) keep(messages []Message) (wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := 0
	for _, m := range messages {
		if m.Counted > 0 {
			size += len(m.Bytes)
		}
	}
	if r.size > 0 && r.size+size > keepBytes {
		if r.room == nil {
			r.room = make(chan struct{})
		}
		return r.room
	}
	for _, m := range messages {
		if m.Counted > 0 {
			r.kept = append(r.kept, keptMessage{r.sent + 1, r.sent + int64(m.Counted), m})
			r.sent += int64(m.Counted)
		}
	}
	r.size += size
	return nil
}

// acknowledged drops what has arrived.
func (r *replay) acknowledged(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.kept) && r.kept[n].last <= number {
		r.size -= len(r.kept[n].Bytes)
		r.kept[n].Bytes = nil
		n++
	}
	r.kept = r.kept[n:]
	if len(r.kept) == 0 {
		r.kept = nil // an idle connection keeps nothing
	}
	if n > 0 && r.room != nil {
		close(r.room)
		r.room = nil
	}
}

// again is what a client that has come back must be sent: the number of the first
// message, or of the next if none is missing, and the messages. One that has expired
// is sent as filler, because the numbers go on.
func (r *replay) again(filler []byte) (first int64, messages []Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.sent + 1
	if len(r.kept) > 0 {
		first = r.kept[0].first
	}
	at := now()
	for _, k := range r.kept {
		if k.expired(at) {
			k.Bytes = bytes.Repeat(filler, k.Counted)
		}
		messages = append(messages, k.Message)
	}
	return first, messages
}

// ackWithin is how long a client that is there may acknowledge nothing while we
// wait for it.
const ackWithin = 2 * inactive

var errUnacknowledged = fault.New(fault.SlowConsumer, "the client does not acknowledge what it is sent")

// writeKept is Write for a stateful connection: what is kept is as good as written,
// whether or not the client is there. Under out, which it gives up while it waits,
// so that the client can come back.
func (c *Conn) writeKept(messages []Message) error {
	if n := c.replay.uncounted(messages); n < len(messages) {
		if n > 0 {
			c.pass(messages[:n])
		}
		messages = messages[n:]
		if err := c.pause(c.replay.counting, countsWithin, nil); err != nil {
			return err
		}
		c.replay.begin()
	}
	for {
		messages = unexpired(messages)
		wait := c.replay.keep(messages)
		if wait == nil {
			break
		}
		if err := c.pause(wait, ackWithin, errUnacknowledged); err != nil {
			return err
		}
	}
	c.pass(messages)
	return nil
}

// pause waits, without out, and answers late if it takes too long.
func (c *Conn) pause(until <-chan struct{}, within time.Duration, late error) error {
	c.out.Unlock()
	defer c.out.Lock()
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case <-until:
		return nil
	case <-c.ctx.Done():
		return errOver
	case <-patience.C:
		return late
	}
}

// pass sends to the client, if it is there. Under out.
func (c *Conn) pass(messages []Message) {
	l, _ := c.current()
	if l == nil {
		return
	}
	if err := l.send(messages); err != nil {
		c.lose(l)
	}
	c.sent.Store(now().Unix())
}

// lose notes that a stateful client's socket has broken.
func (c *Conn) lose(l line) {
	c.mu.Lock()
	if c.line == l {
		c.line, c.source, c.away = nil, nil, now().Unix()
	}
	c.mu.Unlock()
	l.abort()
}

// comeBack gives a stateful client's connection a new socket, and sends what the
// old one may have swallowed. The old one may look alive still.
func (c *Conn) comeBack(l line, from *source) {
	if old, _ := c.current(); old != nil {
		old.abort() // a write that hangs in it ends
	}
	c.out.Lock()
	defer c.out.Unlock()
	c.mu.Lock()
	old := c.line // another one that came back at the same moment
	c.line, c.source, c.away = l, from, 0
	c.mu.Unlock()
	if old != nil {
		old.abort()
	}
	if c.over.Load() { // it has ended meanwhile, and may have found nothing to abort
		l.abort()
		return
	}
	c.received.Store(now().Unix())
	// What a client counts and passes over: the answer to a call that it never made.
	filler := c.append(hubprotocol.Message{Kind: hubprotocol.Completion, InvocationID: "expired"})
	first, messages := c.replay.again(filler.Bytes)
	sequence := c.append(hubprotocol.Message{Kind: hubprotocol.Sequence, SequenceID: first})
	if err := l.send(append([]Message{sequence}, messages...)); err != nil {
		c.lose(l)
	}
}

// admit says whether a message of a stateful client is news, and does what the
// messages for this are for. Under in.
func (c *Conn) admit(m hubprotocol.Message, from *source) (fresh bool, err error) {
	r := c.replay
	r.begin()
	if from.resumes && m.Kind != hubprotocol.Sequence {
		return false, nil // of before the cut, and will come again
	}
	switch {
	case m.Kind == hubprotocol.Ack:
		r.acknowledged(m.SequenceID)
	case m.Kind == hubprotocol.Sequence:
		if m.SequenceID < 1 || m.SequenceID > r.next {
			return false, fault.New(fault.InvalidFrame, "a client that comes back goes on with message %d, and %d was expected at most", m.SequenceID, r.next)
		}
		from.resumes, r.next = false, m.SequenceID
	case m.Kind.Counted():
		number := r.next
		r.next++
		c.acknowledge()
		if number <= r.newest {
			return false, nil
		}
		r.newest = number
	}
	return true, nil
}

// acknowledge tells the client, in a while, how far it has come.
func (c *Conn) acknowledge() {
	r := c.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acking {
		return
	}
	r.acking = true
	time.AfterFunc(ackAfter, func() {
		c.in.Lock()
		newest := r.newest
		c.in.Unlock()
		r.mu.Lock()
		r.acking = false
		r.mu.Unlock()
		if l, _ := c.current(); l != nil && !c.over.Load() { // a client that is away is told by the Sequence
			c.Window().Put(c.append(hubprotocol.Message{Kind: hubprotocol.Ack, SequenceID: newest}))
		}
	})
}
