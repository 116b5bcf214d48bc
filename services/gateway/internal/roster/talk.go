package roster

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// rollBytes is about how large one message is at most, far under what a server
// takes.
const rollBytes = 128 << 10

// Run tells and listens until ctx ends, and says goodbye. Code unavailable.
func (r *Roster) Run(ctx context.Context) error {
	for _, s := range []string{subject.Roster, subject.RosterOf(r.me.id)} {
		sub, err := r.o.NC.ChanSubscribe(s, r.in)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only with a connection that is closed
	}
	started, last := time.Now(), time.Now()
	r.say(false)
	tick := time.NewTicker(beat / 2)
	defer tick.Stop()
	beats := 0
	var due <-chan time.Time // when changes have been gathered
	for {
		select {
		case m := <-r.in:
			r.hear(m, time.Now())
		case <-r.kick:
			if due == nil {
				due = time.After(gather)
			}
		case <-due:
			due = nil
			r.say(false)
		case now := <-tick.C:
			r.judge(now, now.Sub(last), now.Sub(started) >= listening)
			last = now
			if beats++; beats%2 == 0 {
				r.say(false)
			}
		case <-ctx.Done():
			r.say(true)
			return nil
		}
		r.tell()
	}
}

// tell announces what there is to announce.
func (r *Roster) tell() {
	r.mu.Lock()
	ours := r.take()
	r.mu.Unlock()
	r.announce(ours)
}

// judge finds the gateways that have died and the persons who have gone. elapsed is since we last looked: where
// that is long we were asleep ourselves, and heard nothing for that reason.
func (r *Roster) judge(now time.Time, elapsed time.Duration, listened bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	deaf := !r.o.NC.IsConnected()
	for _, g := range r.peers {
		switch {
		case deaf:
			g.heard = now
		case elapsed > 2*beat:
			g.heard = g.heard.Add(elapsed)
		}
		if now.Sub(g.heard) >= silence {
			r.o.Log.Warn("gateway is silent; its users are offline", "gateway", g.id, telemetry.KeyCount, g.seats)
			r.bury(g)
		} else if !g.known && now.Sub(g.asked) >= askAgain {
			r.ask(g, now)
		}
	}
	r.expire(now)
	r.forget(now)
	if listened {
		r.settle()
	}
}

// say tells the others what has changed here, or that we are there, or that we
// leave.
func (r *Roster) say(leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sayChanges(leaving)
}

// sayChanges is say. Under mu, so that rolls go out in the order of their numbers;
// publishing only writes into the connection's buffer.
func (r *Roster) sayChanges(leaving bool) {
	seats := make([]*gatewayv1.Seat, 0, len(r.changed))
	for p := range r.changed {
		seats = append(seats, r.mine(p))
	}
	clear(r.changed)
	for first := true; first || len(seats) > 0; first = false {
		n := fits(seats)
		r.me.seq++
		r.publish(subject.Roster, &gatewayv1.Roll{
			Gateway: r.me.id, Sequence: r.me.seq, Seats: seats[:n], Leaving: leaving && n == len(seats), Settled: r.settled,
		})
		seats = seats[n:]
	}
}

// mine is my seat of a person as the others are told of it. Under mu.
func (r *Roster) mine(p Person) *gatewayv1.Seat {
	s := &gatewayv1.Seat{Tenant: p.Tenant, User: p.User}
	if e := r.entries[p]; e != nil {
		s.Connections, s.Since = e.at(r.me), e.since.UnixMilli()
	}
	return s
}

// fits is how many of the seats one message takes.
func fits(seats []*gatewayv1.Seat) (n int) {
	for size := 0; n < len(seats); n++ {
		if size += 24 + len(seats[n].GetTenant()) + len(seats[n].GetUser()); size > rollBytes && n > 0 {
			break
		}
	}
	return n
}

// answer sends all my seats to a gateway that asked. What has changed goes first,
// so that the answer continues the rolls to everybody. Under mu.
func (r *Roster) answer(gateway string) {
	r.sayChanges(false)
	var seats []*gatewayv1.Seat
	for p, e := range r.entries {
		if e.at(r.me) > 0 {
			seats = append(seats, r.mine(p))
		}
	}
	var parts [][]*gatewayv1.Seat
	for first := true; first || len(seats) > 0; first = false {
		n := fits(seats)
		parts = append(parts, seats[:n])
		seats = seats[n:]
	}
	for i, part := range parts {
		r.publish(subject.RosterOf(gateway), &gatewayv1.Roll{
			Gateway: r.me.id, Sequence: r.me.seq, Seats: part, Part: uint32(i + 1), Parts: uint32(len(parts)), Settled: r.settled,
		})
	}
}

// ask asks a gateway for all its seats. Under mu.
func (r *Roster) ask(g *peer, now time.Time) {
	g.asked = now
	r.publish(subject.RosterOf(g.id), &gatewayv1.Ask{Gateway: r.me.id})
}

func (r *Roster) publish(subj string, m proto.Message) {
	b, err := proto.Marshal(m)
	if err == nil {
		msg := &nats.Msg{Subject: subj, Data: b, Header: nats.Header{kindHeader: {string(m.ProtoReflect().Descriptor().Name())}}}
		err = r.o.NC.PublishMsg(msg)
	}
	if err != nil && !r.o.NC.IsClosed() {
		r.o.Log.Warn("roster not told", telemetry.KeySubject, subj, telemetry.Err(err))
	}
	if r.o.Said != nil {
		r.o.Said(len(b))
	}
}
