package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/internal/lean"
)

// Subprotocol names the plain WebSocket protocol and its version.
const Subprotocol = "belfry.v1"

// closeWait is how long a client has to answer our close frame.
const closeWait = 5 * time.Second

// serveWebSocket is GET /v1/ws.
func (s *Service) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	codes, err := handshake(w.Header(), r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	principal, refused := s.authenticate(r)
	if fault.CodeOf(refused) == fault.RateLimited {
		// Before the handshake, which is what the limit is to save; a browser takes it
		// for a broken connection and comes back later, as it should.
		api.WriteError(w, r, refused)
		return
	}
	if err := s.hub.full(); err != nil { // before the handshake, too
		s.stats.limited(limitConnections, principal)
		api.WriteError(w, r, err)
		return
	}
	writer := &lean.Writer{ResponseWriter: w, Timeout: s.config.WriteTimeout}
	compression := websocket.CompressionDisabled // frames are encoded once for all, uncompressed
	if s.config.Compression {
		compression = websocket.CompressionNoContextTakeover // nothing is kept between two messages
	}
	n := &session{s: s, ctx: s.life, pace: newPace(s.config.MaxFrameRate)}
	alive := func() {
		if n.c != nil {
			n.c.alive.Store(time.Now().Unix())
			n.count(time.Now())
		}
	}
	ws, err := websocket.Accept(writer, r, &websocket.AcceptOptions{
		Subprotocols:         []string{Subprotocol},
		OriginPatterns:       s.config.AllowedOrigins,
		CompressionMode:      compression,
		CompressionThreshold: compressFrom,
		OnPongReceived:       func(context.Context, []byte) { alive() },
		OnPingReceived:       func(context.Context, []byte) bool { alive(); return true },
	})
	if err != nil {
		return // Accept has answered
	}
	writer.Settle()
	ws.SetReadLimit(-1) // we limit, with a code of our own
	if refused != nil {
		principal = &auth.Principal{}
		api.Refused(r.Context(), fault.CodeOf(refused))
	}
	var out sink = &webSocketSink{ws: ws, socket: writer.Socket}
	if w.Header().Get("Sec-WebSocket-Extensions") != "" { // the client offered, and has it
		out = &deflatingSink{webSocketSink{ws: ws, socket: writer.Socket}, s.config.WriteTimeout}
	}
	c, full := s.newConnection(plain, principal, out, codes)
	switch {
	case full != nil:
		code := fault.CodeOf(full)
		api.Refused(r.Context(), code)
		_ = ws.Close(websocket.StatusCode(code.CloseCode()), string(code)) // best effort
	case refused != nil:
		// After the handshake, because a browser shows a page no status of a refused
		// one, but does show a close code.
		c.shut(fault.CodeOf(refused))
		go s.endWebSocket(c, ws)
	default:
		n.c = c
		go n.read(ws) // net/http frees the request's memory when we return
	}
}

// handshake checks what of a request can be wrong before anybody asks who sends it,
// so that errors are told in our form: the library's are text. It answers the codes
// that the connection is narrowed to. Codes invalid_request, unsupported_protocol,
// unknown_name.
func handshake(answer http.Header, r *http.Request) (codeSet, error) {
	h := r.Header
	switch key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(h.Get("Sec-WebSocket-Key"))); {
	case !strings.EqualFold(h.Get("Upgrade"), "websocket") || !hasToken(h.Values("Connection"), "upgrade"):
		return 0, fault.Field(fault.InvalidRequest, "Upgrade", "this route speaks WebSocket only; /v1/sse is the same feed over plain HTTP")
	case !r.ProtoAtLeast(1, 1):
		return 0, fault.Field(fault.InvalidRequest, "Upgrade", "a WebSocket begins with HTTP/1.1")
	case h.Get("Sec-WebSocket-Version") != "13":
		answer.Set("Sec-WebSocket-Version", "13") // RFC 6455 §4.4
		return 0, fault.Field(fault.UnsupportedProtocol, "Sec-WebSocket-Version", "we speak 13")
	case err != nil || len(key) != 16 || len(h.Values("Sec-WebSocket-Key")) != 1:
		return 0, fault.Field(fault.InvalidRequest, "Sec-WebSocket-Key", "must be 16 bytes in base64")
	case !offers(h.Values("Sec-WebSocket-Protocol"), Subprotocol):
		return 0, fault.Field(fault.UnsupportedProtocol, "Sec-WebSocket-Protocol", "we speak %s", Subprotocol)
	}
	q, err := query(r, ofWindows)
	if err != nil {
		return 0, err
	}
	return narrowQuery(q)
}

// hasToken says whether lists of a header have a token, compared ignoring case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		if slices.ContainsFunc(splitList(list), func(s string) bool { return strings.EqualFold(s, token) }) {
			return true
		}
	}
	return false
}

// offers says whether a client that offers these subprotocols will take ours; one
// that offers none takes any.
func offers(offered []string, ours string) bool {
	for _, list := range offered {
		if slices.Contains(splitList(list), ours) {
			return true
		}
	}
	return len(offered) == 0
}

// read is the connection's one goroutine: it reads client frames until the
// connection ends.
func (n *session) read(ws *websocket.Conn) {
	s, c := n.s, n.c
	defer s.endWebSocket(c, ws)
	defer n.end()
	aside(n.welcome)
	for {
		// No deadline and no cancel on reads: both would cost a timer or a goroutine
		// per connection. The ping wheel finds the dead, and abort unblocks us.
		kind, in, err := ws.Reader(context.Background())
		if err != nil {
			c.out.(lingering).linger(err) //nolint:errcheck,forcetypeassert // both sinks of a WebSocket are
			return
		}
		message, err := io.ReadAll(io.LimitReader(in, int64(s.config.MaxFrameBytes)+1))
		if err != nil {
			return
		}
		c.alive.Store(time.Now().Unix())
		var wrong fault.Code
		switch {
		case len(message) > s.config.MaxFrameBytes:
			wrong = fault.FrameTooLarge
		case kind != websocket.MessageText:
			wrong = fault.InvalidFrame
		default:
			c.alive.Store(listening) // nobody reads its pongs meanwhile, which may take as long as a catch-up
			aside(func() { n.message(message) })
			c.alive.Store(time.Now().Unix())
			if !c.isClosing() {
				continue
			}
			return
		}
		c.shut(wrong)
		_, _ = io.Copy(io.Discard, in) // the rest is read below, or the connection is gone
		return
	}
}

// aside does something in a goroutine of its own, and waits for it. Who only reads
// keeps a stack of 4 KiB for as long as the connection is open; reading and writing
// JSON would make it 8 or 16.
func aside(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}

// endWebSocket reads on until the client has seen why it is closed, if it is:
// closing with unread bytes would reset the connection and lose the close frame.
func (s *Service) endWebSocket(c *connection, ws *websocket.Conn) {
	for c.isClosing() {
		_, in, err := ws.Reader(context.Background())
		if err != nil {
			break
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			break
		}
	}
	_ = ws.CloseNow() // closed already, or cut; either way it is over
	s.endConnection(c)
}

// webSocketSink writes to one WebSocket.
type webSocketSink struct {
	ws     *websocket.Conn
	socket *lean.Socket
}

// write sends the lines of all items as one text frame (a raw item as itself),
// in one write.
func (o *webSocketSink) write(items []*item) error {
	p := lean.Buffer()
	defer lean.Free(p)
	*p = appendFrames(*p, items)
	_, err := o.socket.Write(*p)
	return err
}

// offer implements offering.
func (o *webSocketSink) offer(items []*item) (finish func() error, err error) {
	p := lean.Buffer()
	*p = appendFrames(*p, items)
	rest, err := o.socket.Offer(*p)
	if rest == nil {
		lean.Free(p)
		return nil, err
	}
	return func() error {
		defer lean.Free(p)
		return rest()
	}, nil
}

func appendFrames(b []byte, items []*item) []byte {
	for len(items) > 0 {
		if items[0].raw {
			b = append(b, items[0].body...)
			items = items[1:]
			continue
		}
		n, size := 0, 0
		for n < len(items) && !items[n].raw {
			size += len(items[n].body)
			n++
		}
		b = lean.AppendHeader(b, false, size-1) // without the last newline
		for _, it := range items[:n] {
			b = append(b, it.body...)
		}
		b = b[:len(b)-1]
		items = items[n:]
	}
	return b
}

// pingFrame is an empty WebSocket ping.
var pingFrame = &item{body: []byte{0x89, 0}, raw: true}

// goodbye sends a close frame whose reason is the code, and gives the client a
// moment to answer it; the reader then ends.
func (o *webSocketSink) goodbye(code fault.Code) {
	if err := o.socket.WriteClose(code.CloseCode(), string(code)); err != nil {
		o.abort()
		return
	}
	if err := o.socket.SetReadDeadline(time.Now().Add(closeWait)); err != nil {
		o.abort()
	}
}

// lingering is a sink whose client may have sent more than was read when it broke the
// protocol.
type lingering interface{ linger(why error) }

// Of what a client has sent behind what it did wrong, so much is read, for so long.
const (
	lingerBytes = 1 << 20
	lingerFor   = time.Second
)

// linger lets a client that broke the protocol see the close frame with which the
// library has said so: closing with unread bytes would reset the connection, and lose
// it. Who has closed or is gone is not waited for.
func (o *webSocketSink) linger(why error) {
	if websocket.CloseStatus(why) != -1 || errors.Is(why, io.EOF) || errors.Is(why, net.ErrClosed) {
		return
	}
	if half, ok := o.socket.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if o.socket.SetReadDeadline(time.Now().Add(lingerFor)) == nil {
		_, _ = io.CopyN(io.Discard, o.socket, lingerBytes) // whatever ends it
	}
}

// abort closes the socket; that it may be closed already is no matter.
func (o *webSocketSink) abort() { _ = o.socket.Close() }

func (o *webSocketSink) remote() net.Addr { return o.socket.RemoteAddr() }

// authenticate reads and verifies the request's token, from its header or its
// query: browsers cannot set headers on WebSockets and event streams. A new
// connection counts as one call.
func (s *Service) authenticate(r *http.Request) (*auth.Principal, error) {
	principal, err := s.guard.HTTP(r, nil, true)
	if err != nil {
		return nil, err
	}
	api.Identify(r.Context(), principal)
	return principal, s.limits.Allow(principal, 1)
}

// record tells the audit log what was refused on an open connection.
func (s *Service) record(ctx context.Context, c *connection, entry api.Entry) {
	if out, ok := c.out.(interface{ remote() net.Addr }); ok {
		entry = entry.From(out.remote())
	}
	s.audit.Record(ctx, entry.Of(c.who()))
}
