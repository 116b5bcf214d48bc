package client

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	// replyBase is the base in which a message's number is written into its
	// reply subject: short, and letters and digits only.
	replyBase = 36

	resendAfter = 250 * time.Millisecond // after "no responders": a stream elects its leader meanwhile
	lookEvery   = time.Second            // how often the oldest unanswered message is looked at
)

// outbox sends messages to the log and matches the answers to them.
//
//	publish ──▶ [tail … messages awaiting their answer … head) ──▶ NATS
//	                  ▲ bounded in number and bytes                 │
//	                  └──────── reply subject = prefix + number ◀───┘
//
// The window is a ring indexed by the message's number, so that a publish costs
// neither a map entry nor a goroutine. When the server is away the window
// stalls: what is in it waits, and is sent again from the oldest on when the
// server is back. Message ids make that harmless, and the order is kept. Only an
// election inside a cluster can change it: the old leader drops what is on its
// way without a word, while the new one already takes what comes after.
type outbox struct {
	nc       *nats.Conn
	log      *slog.Logger
	prefix   string // of the reply subjects, ends with a dot
	maxBytes int
	ackWait  time.Duration // unanswered that long: send again
	giveUp   time.Duration // unanswered that long: fail
	epochOf  func(context.Context) (string, error)

	sub    *nats.Subscription
	status chan nats.Status
	poke   chan struct{}   // wakes tend
	ctx    context.Context // ends when the outbox is closed
	quit   context.CancelFunc
	ended  chan struct{}

	mu         sync.Mutex
	ring       []*Ack // power of two; nil where answered
	tail, head uint64 // numbers of the oldest unanswered and of the next message
	bytes      int
	space      chan struct{} // closed when a full window has room again; nil if nobody waits
	epoch      string        // of the log that answers; "" = to be read before anything else is sent
	stalled    bool          // nothing is sent; publish only queues
	resumeAt   time.Time     // when a stalled window may try again
	watched    bool          // tend has a timer running
	failure    error         // the first since the last flush
	closed     bool
}

// newOutbox subscribes to the answers and starts the goroutine that tends the
// window. The epoch must have been read.
func newOutbox(nc *nats.Conn, o Options, epoch string, epochOf func(context.Context) (string, error)) (*outbox, error) {
	size := 1
	for size < o.MaxPending {
		size *= 2
	}
	b := &outbox{
		nc: nc, log: o.Log, prefix: nc.NewInbox() + ".", maxBytes: o.MaxPendingBytes,
		ackWait: o.AckWait, giveUp: o.GiveUp, epochOf: epochOf, epoch: epoch,
		ring: make([]*Ack, size), poke: make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	b.ctx, b.quit = context.WithCancel(context.Background())
	var err error
	if b.sub, err = nc.Subscribe(b.prefix+"*", b.answered); err != nil {
		return nil, err
	}
	// The window already bounds how many answers there can be.
	if err := b.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	b.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	go b.run()
	return b, nil
}

// publish takes a place in the window, waiting for one if it is full, and sends.
func (b *outbox) publish(ctx context.Context, a *Ack) error {
	a.box = b
	if a.size > b.maxBytes {
		return fault.New(fault.EventTooLarge, "%d bytes are above MaxPendingBytes, %d", a.size, b.maxBytes)
	}
	b.mu.Lock()
	for !b.closed && b.full(a.size) {
		if b.space == nil {
			b.space = make(chan struct{})
		}
		space := b.space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "the window of unacknowledged events stayed full")
		}
		b.mu.Lock()
	}
	if b.closed {
		b.mu.Unlock()
		return errClosed()
	}
	a.number = b.head
	a.msg.Reply = string(strconv.AppendUint([]byte(b.prefix), a.number, replyBase))
	a.first = time.Now()
	a.sent = a.first
	b.ring[b.slot(a.number)] = a
	b.head++
	b.bytes += a.size
	m, watched, stalled := a.msg, b.watched, b.stalled
	b.watched = true
	b.mu.Unlock()

	if !watched {
		b.wake()
	}
	if stalled {
		return nil // tend will send it, in its turn
	}
	// Sent outside the lock: the order that counts is that of one caller.
	if err := b.nc.PublishMsg(m); err != nil {
		b.sendFailed(a, err)
	}
	return nil
}

func (b *outbox) slot(number uint64) uint64 { return number & uint64(len(b.ring)-1) }

func (b *outbox) full(size int) bool {
	return b.head-b.tail >= uint64(len(b.ring)) || b.bytes > 0 && b.bytes+size > b.maxBytes
}

// sendFailed judges what nats.go says to a publish. Whatever could be the
// connection's trouble waits in the window.
func (b *outbox) sendFailed(a *Ack, err error) {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		b.resolve(a, tooLarge(err, a.size, b.nc.MaxPayload()))
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining),
		errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported):
		b.resolve(a, unavailable(err))
	default: // reconnecting, or the socket broke under this very write
		b.stall(0)
	}
}

// answered handles one answer of the log; the subscription calls it in order.
func (b *outbox) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(b.prefix):], replyBase, 64)
	if err != nil {
		return // not one of ours: nobody else knows the prefix
	}
	ack, err := parseAck(m)
	if retryable(err) {
		b.stall(resendAfter)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.ring[b.slot(number)]
	if a == nil || a.number != number {
		return // answered before: it was sent twice
	}
	if b.epoch == "" {
		return // just reconnected: it is sent again once the log is known
	}
	if err != nil {
		b.resolveLocked(a, Receipt{}, err)
		return
	}
	r := Receipt{ID: a.id, Duplicate: ack.duplicate}
	r.Cursor.Epoch, r.Cursor.Seq = b.epoch, ack.seq
	b.resolveLocked(a, r, nil)
}

func (b *outbox) resolve(a *Ack, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !a.resolved {
		b.resolveLocked(a, Receipt{}, err)
	}
}

// resolveLocked ends a's time in the window. It wakes those who wait for room
// only when an eighth of the window is free, so that a fast publisher is not
// switched in and out for every single answer.
func (b *outbox) resolveLocked(a *Ack, r Receipt, err error) {
	b.ring[b.slot(a.number)] = nil
	b.bytes -= a.size
	for b.tail < b.head && b.ring[b.slot(b.tail)] == nil {
		b.tail++
	}
	a.resolved, a.receipt, a.err, a.msg = true, r, err, nil
	if b.failure == nil && !a.awaited {
		b.failure = err
	}
	if a.done != nil {
		close(a.done)
	}
	roomy := b.head-b.tail <= uint64(len(b.ring)-len(b.ring)/8) && b.bytes <= b.maxBytes-b.maxBytes/8
	if b.space != nil && (roomy || b.tail == b.head) {
		close(b.space)
		b.space = nil
	}
}

// pending lists what is in the window, oldest first.
func (b *outbox) pending() []*Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pendingLocked()
}

func (b *outbox) pendingLocked() []*Ack {
	var all []*Ack
	for n := b.tail; n < b.head; n++ {
		if a := b.ring[b.slot(n)]; a != nil {
			all = append(all, a)
		}
	}
	return all
}

// failed is the first failure since it was last asked.
func (b *outbox) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.failure
	b.failure = nil
	return err
}

func (b *outbox) wake() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}
