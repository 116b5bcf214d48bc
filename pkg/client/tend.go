package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// run tends the window until the outbox or the connection is closed.
func (b *outbox) run() {
	defer close(b.ended)
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case s := <-b.status:
			switch s {
			case nats.CLOSED:
				b.shut()
				return
			case nats.CONNECTED:
				// A server that was away may have come back with another log.
				b.mu.Lock()
				b.stalled, b.resumeAt, b.epoch = true, time.Time{}, ""
				b.mu.Unlock()
			default:
				b.stall(0)
				continue
			}
		case <-b.poke:
		case <-timer.C:
		}
		if next := b.tend(time.Now()); next > 0 {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
	}
}

// stall stops sending for a while, or until the connection is back.
func (b *outbox) stall(wait time.Duration) {
	b.mu.Lock()
	if !b.stalled {
		b.stalled, b.resumeAt = true, time.Now().Add(wait)
	}
	b.mu.Unlock()
	b.wake()
}

// tend fails what has waited too long and sends again what should be. It
// answers when to look again; 0 = when something is published.
func (b *outbox) tend(now time.Time) time.Duration {
	epoch := b.readEpoch()

	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != "" {
		b.epoch = epoch
	}
	pending := b.pendingLocked()
	for _, a := range pending {
		if now.Sub(a.first) < b.giveUp {
			break // the window is in order of age
		}
		b.resolveLocked(a, Receipt{}, unavailable(context.DeadlineExceeded))
	}
	pending = b.pendingLocked()
	overdue := len(pending) > 0 && now.Sub(pending[0].sent) >= b.ackWait
	if b.stalled && !b.nc.IsConnected() || b.epoch == "" {
		return resendAfter
	}
	if b.stalled && now.Before(b.resumeAt) {
		return min(b.resumeAt.Sub(now), resendAfter) // what waits too long is noticed in time
	}
	if b.stalled || overdue {
		b.stalled = false
		b.resend(pending, now)
	}
	if b.stalled {
		return resendAfter
	}
	b.watched = len(pending) > 0
	if !b.watched {
		return 0
	}
	return lookEvery
}

// readEpoch asks the log for its epoch if that is unknown; "" if it need not or
// cannot.
func (b *outbox) readEpoch() string {
	b.mu.Lock()
	known := b.epoch != ""
	b.mu.Unlock()
	if known || !b.nc.IsConnected() {
		return ""
	}
	ctx, cancel := context.WithTimeout(b.ctx, lookEvery)
	defer cancel()
	epoch, err := b.epochOf(ctx)
	if err != nil {
		b.log.Debug("log does not answer yet", "err", err)
	}
	return epoch
}

// resend sends the window again, oldest first. The lock is held, so that what
// is published meanwhile comes after.
func (b *outbox) resend(pending []*Ack, now time.Time) {
	for _, a := range pending {
		a.sent = now
		if err := b.nc.PublishMsg(a.msg); err != nil {
			b.stalled, b.resumeAt = true, now.Add(resendAfter)
			return
		}
	}
	if len(pending) > 0 {
		b.log.Debug("sent unacknowledged events again", "count", len(pending))
	}
}

// close ends the outbox; what is still unanswered fails.
func (b *outbox) close() {
	b.shut()
	b.quit()
	<-b.ended
	b.nc.RemoveStatusListener(b.status)
}

func (b *outbox) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, a := range b.pendingLocked() {
		b.resolveLocked(a, Receipt{}, errClosed())
	}
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
}
