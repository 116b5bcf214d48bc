package gateway

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// compressFrom is the size, in bytes, from which a message is compressed.
const compressFrom = 256

// deflatingSink writes to a WebSocket whose client has asked for permessage-deflate
// (RFC 7692). The library compresses, anew for every connection, and writes a message
// in several pieces, so everything goes through it: no frame that was encoded for
// all, and no write that does not wait. That is why compression is an operator's
// choice, for windows behind thin lines.
type deflatingSink struct {
	bare    webSocketSink
	timeout time.Duration
}

// write sends the lines of all items as one message.
func (o *deflatingSink) write(items []*item) error {
	var lines bytes.Buffer
	for _, it := range items {
		if it.raw { // the wheel's, the only one there is
			go o.ping()
			continue
		}
		lines.Write(it.body)
	}
	if lines.Len() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	return o.bare.ws.Write(ctx, websocket.MessageText, bytes.TrimSuffix(lines.Bytes(), []byte("\n")))
}

// ping waits for the pong, because the library's does; who answers nothing is found
// by the wheel, as everybody is.
func (o *deflatingSink) ping() {
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	_ = o.bare.ws.Ping(ctx)
}

func (o *deflatingSink) goodbye(code fault.Code) { o.bare.goodbye(code) }
func (o *deflatingSink) abort()                  { o.bare.abort() }
func (o *deflatingSink) linger(why error)        { o.bare.linger(why) }
func (o *deflatingSink) remote() net.Addr        { return o.bare.remote() }
