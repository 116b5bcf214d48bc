package roster

import (
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/telemetry"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// kindHeader says which message a body is.
const kindHeader = "Belfry-Kind"

// hear takes one message of another gateway. What is not one is passed over.
func (r *Roster) hear(m *nats.Msg, now time.Time) {
	switch m.Header.Get(kindHeader) {
	case "Ask":
		var ask gatewayv1.Ask
		if proto.Unmarshal(m.Data, &ask) != nil || ask.GetGateway() == "" || ask.GetGateway() == r.me.id {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answer(ask.GetGateway())
	case "Roll":
		var roll gatewayv1.Roll
		if proto.Unmarshal(m.Data, &roll) != nil || roll.GetGateway() == "" || roll.GetGateway() == r.me.id {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.enroll(&roll, now)
	}
}

// enroll takes a roll. Under mu.
func (r *Roster) enroll(roll *gatewayv1.Roll, now time.Time) {
	g := r.peers[roll.GetGateway()]
	if g == nil {
		if roll.GetLeaving() {
			return
		}
		g = newPeer(roll.GetGateway())
		r.peers[g.id] = g
		r.o.Log.Info("gateway heard for the first time", "gateway", g.id, telemetry.KeyCount, len(r.peers))
		r.sayChanges(false) // so that it knows of us at once
	}
	g.heard, g.settled = now, roll.GetSettled()
	switch {
	case roll.GetParts() > 0:
		r.enrollPart(g, roll, now)
	case !g.known:
		if now.Sub(g.asked) >= askAgain {
			r.ask(g, now)
		}
	case roll.GetSequence() == g.seq+1:
		g.seq++
		r.take1(g, roll, now)
	case roll.GetSequence() > g.seq:
		r.o.Log.Info("roll missed; asking for all", "gateway", g.id)
		g.known, g.part = false, 0
		r.ask(g, now)
	}
	if roll.GetLeaving() {
		r.o.Log.Info("gateway leaves", "gateway", g.id, telemetry.KeyCount, g.seats)
		r.bury(g)
	}
}

// enrollPart takes a part of an answer. Parts come in order and without rolls in
// between; when one is missing all are asked for again.
func (r *Roster) enrollPart(g *peer, roll *gatewayv1.Roll, now time.Time) {
	switch {
	case roll.GetPart() == 1:
		g.round++
	case roll.GetPart() != g.part+1:
		g.known, g.part = false, 0
		return // judge asks again
	}
	g.part, g.seq, g.asked = roll.GetPart(), roll.GetSequence(), now
	r.take1(g, roll, now)
	if g.part < roll.GetParts() {
		return
	}
	round := g.round
	r.clear(g, now, func(s seat) bool { return s.round == round })
	g.known, g.part = true, 0
}

// take1 takes the seats of one message.
func (r *Roster) take1(g *peer, roll *gatewayv1.Roll, now time.Time) {
	for _, s := range roll.GetSeats() {
		if s.GetTenant() == "" || s.GetUser() == "" {
			continue
		}
		since := time.UnixMilli(s.GetSince())
		if since.After(now) { // its clock goes before ours
			since = now
		}
		r.seat(Person{s.GetTenant(), s.GetUser()}, g, s.GetConnections(), since, now)
	}
}
