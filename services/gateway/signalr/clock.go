package signalr

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// What the clock looks for. It looks at each connection every turn seconds, so
// that is how late it may be.
const (
	turn = 5

	handshakeWithin = 15 * time.Second // .NET: HandshakeTimeout
	pingAfter       = 10 * time.Second // without sending; .NET's KeepAliveInterval is 15 s, of which turn is part
	clientTimeout   = 30 * time.Second // without receiving, once the client has pinged (.NET: ClientTimeoutInterval)
	pollGap         = 15 * time.Second // without a poll
)

// Run is the clock of all connections. It ends with ctx.
func (s *Server) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case at := <-tick.C:
			for _, c := range s.list.at(n) {
				c.visit(at)
			}
			if n%turn == 0 {
				s.list.sweep(at.Unix())
			}
		case <-ctx.Done():
			return
		}
	}
}

// visit is one connection's turn.
func (c *Conn) visit(at time.Time) {
	since := func(unix int64) time.Duration { return at.Sub(time.Unix(unix, 0)) }
	c.mu.Lock()
	window, l, away := c.window, c.line, c.away
	c.mu.Unlock()
	polls, polling := l.(*pollLine)
	switch {
	case polling && polls.idle.Load() != 0 && since(polls.idle.Load()) > pollGap,
		away != 0 && since(away) > inactive,
		window == nil && since(c.born) > handshakeWithin+turn*time.Second, // it has been told, and stays
		!polling && c.pinged.Load() && away == 0 && since(c.received.Load()) > clientTimeout:
		c.end()
	case window == nil && since(c.born) > handshakeWithin && !polling:
		c.server.list.start(func() { c.fail(errHandshake) }) // not here: a client may be slow to read it
	case window != nil && !polling && l != nil && !c.over.Load() && since(c.sent.Load()) >= pingAfter:
		window.Put(c.append(hubprotocol.Message{Kind: hubprotocol.Ping}))
	}
}

var errHandshake = fault.New(fault.InvalidFrame, "the handshake took longer than %s", handshakeWithin)
