package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// bare is a client that does what no library would: it has shaken hands and writes
// bytes; the first of them with its handshake.
func (w *world) bare(first ...byte) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.http.URL, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /v1/ws?access_token=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n%s", w.token(), Subprotocol, first)
	if err != nil {
		w.t.Fatal(err)
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if _, err := conn.Read(one); err != nil {
			w.t.Fatalf("handshake: %v after %q", err, head)
		}
		head = append(head, one[0])
	}
	return conn
}

// masked is a whole text frame as clients send it.
func masked(text string) []byte {
	b := []byte{0x81}
	switch {
	case len(text) < 126:
		b = append(b, 0x80|byte(len(text)))
	case len(text) < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(text)))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(len(text)))
	}
	return append(append(b, 0, 0, 0, 0), text...)
}

// A hundred megabytes are refused as soon as they are seen to be too many, and are
// never in memory.
func TestHugeMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.bare()
	if _, err := conn.Write(binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, 100<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 4)); err != nil { // the mask
		t.Fatal(err)
	}
	go func() {
		for part := make([]byte, 1<<20); ; {
			if _, err := conn.Write(part); err != nil {
				return // closed, as it should be
			}
		}
	}()
	if code, reason := closeOf(t, conn); code != fault.FrameTooLarge.CloseCode() || reason != string(fault.FrameTooLarge) {
		t.Errorf("closed with %d %q", code, reason)
	}
	w.forgets(0)
}

// Frames that come in one piece with the handshake are not lost, whatever is read ahead.
func TestFramesWithTheHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, size := range []int{0, 100, 200, 300, 600, 5000} {
		long := masked(`{"id":"` + strings.Repeat("x", size) + `","ping":{}}`)
		for _, cut := range []int{len(long), len(long) - 1, 3} {
			conn := w.bare(append(masked(`{"id":"1","ping":{}}`), long[:cut]...)...)
			if _, err := conn.Write(append(long[cut:], masked(`{"id":"3","ping":{}}`)...)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			var got []byte
			for part := make([]byte, 1<<10); !bytes.Contains(got, []byte(`"3"`)); {
				n, err := conn.Read(part)
				if err != nil {
					t.Fatalf("%d bytes, cut at %d: %v after %.300q", size, cut, err, got)
				}
				got = append(got, part[:n]...)
			}
			if n := bytes.Count(got, []byte(`"pong"`)); n != 3 {
				t.Errorf("%d bytes, cut at %d: %d answers", size, cut, n)
			}
			_ = conn.Close()
		}
	}
}

// closeOf reads frames of the server until its close frame.
func closeOf(t *testing.T, conn net.Conn) (code int, reason string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		var h [10]byte
		if _, err := io.ReadFull(conn, h[:2]); err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		size := int(h[1])
		if size == 126 {
			if _, err := io.ReadFull(conn, h[2:4]); err != nil {
				t.Fatal(err)
			}
			size = int(binary.BigEndian.Uint16(h[2:4]))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		if h[0] == 0x88 {
			return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
	}
}

// forgets waits until only so many connections are known.
func (w *world) forgets(left int) {
	w.t.Helper()
	w.eventually("connections that ended are forgotten", func() bool { return len(w.s.hub.all()) == left })
}

// Frames that break the WebSocket protocol, and half ones, end their connection and
// nothing else.
func TestBrokenFrames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.open(w.token())
	ping := masked(`{"ping":{}}`)
	for name, frame := range map[string][]byte{
		"half a header":        {0x81},
		"half a frame":         ping[:len(ping)-3],
		"no mask":              {0x81, 2, '{', '}'},
		"reserved bits":        {0xf1, 0x80, 0, 0, 0, 0},
		"unknown kind":         {0x83, 0x80, 0, 0, 0, 0},
		"a fragmented ping":    {0x09, 0x80, 0, 0, 0, 0},
		"a long ping":          append([]byte{0x89, 0x80 | 126, 1, 0, 0, 0, 0, 0}, make([]byte, 256)...),
		"much behind a fault":  append([]byte{0x83, 0x80, 0, 0, 0, 0}, make([]byte, 64<<10)...),
		"a continuation first": {0x80, 0x80, 0, 0, 0, 0},
		"binary":               {0x82, 0x81, 0, 0, 0, 0, 'x'},
		"a size below zero":    {0x81, 0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"a close of one byte":  {0x88, 0x81, 0, 0, 0, 0, 'x'},
	} {
		conn := w.bare()
		if _, err := conn.Write(frame); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "half") {
			_ = conn.Close()
		} else {
			_ = conn.SetReadDeadline(time.Now().Add(patience)) // a test's own socket
			// A reset would take the close frame with it, where there is one.
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	w.forgets(1)
	if f := good.ask(`{"ping":{}}`); f.Pong == nil {
		t.Errorf("another connection: %+v", f)
	}
}

// A client that is connected and does nothing, sends one byte after the other, or
// answers no ping, is dropped after two rounds of pings.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.PingEvery = unhurried }))
	good := w.open(w.token())
	good.ask(`{"subscribe":{}}`)
	ended := make(chan struct{})
	go func() { // whoever reads answers pings
		defer close(ended)
		for {
			if _, _, err := good.ws.Read(context.Background()); err != nil {
				return
			}
		}
	}()
	_ = w.bare()
	slow := w.bare()
	var group sync.WaitGroup
	group.Go(func() {
		for _, b := range masked(`{"id":"` + strings.Repeat("x", 1000) + `","ping":{}}`) {
			if _, err := slow.Write([]byte{b}); err != nil {
				return // dropped, as it should be
			}
			<-time.After(50 * time.Millisecond)
		}
	})
	w.forgets(1)
	group.Wait()
	_ = good.ws.CloseNow()
	<-ended
}

// GW4: a client that reads what it missed slower than it is pinged, and has sent more
// meanwhile, is slow and not silent: nobody hears its pongs while its frame waits for
// the catch-up.
func TestGW4SlowCatchUpIsNotSilence(t *testing.T) {
	t.Parallel()
	const events, size = 300, 64 << 10 // more than the system buffers for a client
	w := newWorld(t, configure(func(c *Config) { c.PingEvery, c.WriteTimeout = time.Second, time.Minute }))
	first := w.open(w.token())
	at := first.ask(`{"subscribe":{"topic":"none"}}`).Subscribed.Cursor
	_ = first.ws.CloseNow()
	for range events {
		w.publish("evt.AA.invoices.created", `"`+strings.Repeat("x", size)+`"`)
	}
	c := w.open(w.token())
	if f := c.ask(`{"resume":{"cursor":"` + at + `","subscriptions":[{"topic":"invoices"}]}}`); f.Resumed == nil {
		t.Fatalf("%+v", f)
	}
	c.send(`{"id":"after","subscribe":{"topic":"orders"}}`)
	for began := time.Now(); time.Since(began) < 5*time.Second; <-time.After(100 * time.Millisecond) {
		c.event()
	}
	for f := c.next(); f.Subscribed == nil; f = c.next() {
		if f.Event == nil {
			t.Fatalf("%+v", f)
		}
	}
}

// GW4: fifty clients that never read, among others of the same tenant who want the
// same events: nobody else waits for them, and they are cut.
func TestGW4DeafAmongOthers(t *testing.T) {
	t.Parallel()
	const good, deaf, events, size = 10, 50, 120, 64 << 10 // more than the system buffers for a client
	w := newWorld(t, configure(func(c *Config) { c.QueueBytes, c.WriteTimeout = 1<<20, unhurried }))
	for range deaf {
		conn := w.bare()
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // a hint
		}
		if _, err := conn.Write(masked(`{"subscribe":{}}`)); err != nil {
			t.Fatal(err)
		}
	}
	var received [good]atomic.Int64
	var group sync.WaitGroup
	for i := range good {
		c := w.open(w.token())
		c.ask(`{"subscribe":{}}`)
		group.Go(func() {
			for n := range events {
				f, err := c.read()
				if err != nil || f.Event == nil {
					t.Errorf("after %d events: %+v %v", n, f, err)
					return
				}
				received[i].Add(1)
			}
		})
	}
	w.eventually("all have subscribed", func() bool { return len(w.s.hub.all()) == good+deaf })
	const ahead = 8 // events; who reads keeps up with that, however busy the machine is
	for n := range int64(events) {
		for i := range received {
			w.eventually("those who read keep up", func() bool { return received[i].Load() >= n-ahead })
		}
		w.publish("evt.AA.invoices.created", `"`+strings.Repeat("x", size)+`"`)
	}
	group.Wait()
	w.forgets(good)
	if cut := counter(w.s.stats.cuts.WithLabelValues("AA")); cut == 0 {
		t.Error("nobody was counted as slow")
	}
}

// GW1: what the handshake may be wrong in, and what is told.
func TestGW1Handshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		protocols []string
		taken     string // "" = refused
	}{
		"ours":              {[]string{Subprotocol}, Subprotocol},
		"none":              {nil, ""},
		"ours among others": {[]string{"graphql-ws", Subprotocol}, Subprotocol},
		"another version":   {[]string{"belfry.v2"}, "refused"},
		"another protocol":  {[]string{"graphql-ws"}, "refused"},
		"another case":      {[]string{"Belfry.V1"}, "refused"},
	} {
		ws, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+w.token(), &websocket.DialOptions{Subprotocols: c.protocols})
		switch {
		case c.taken == "refused":
			if err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || ws.Subprotocol() != c.taken:
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = ws.CloseNow()
		}
	}
}

// GW1: what is wrong in a handshake is told in our form, as everything is, and what is
// wrong in a query is not left out: a misspelt filter would mean everything.
func TestGW1WrongRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range []struct {
		header, value string
		code          fault.Code
	}{
		{"Sec-WebSocket-Version", "12", fault.UnsupportedProtocol},
		{"Sec-WebSocket-Version", "", fault.UnsupportedProtocol},
		{"Sec-WebSocket-Key", "", fault.InvalidRequest},
		{"Sec-WebSocket-Key", "c2hvcnQ=", fault.InvalidRequest},
		{"Sec-WebSocket-Protocol", "belfry.v2, graphql-ws", fault.UnsupportedProtocol},
		{"Connection", "keep-alive", fault.InvalidRequest},
		{"Upgrade", "h2c", fault.InvalidRequest},
	} {
		var headers []string
		for name, value := range good {
			if name != c.header {
				headers = append(headers, name, value)
			}
		}
		if status, body := w.call(http.MethodGet, "/v1/ws", w.token(), "", append(headers, c.header, c.value)...); status != http.StatusBadRequest || !strings.Contains(body, `"`+string(c.code)+`"`) {
			t.Errorf("%s %q: %d %s", c.header, c.value, status, body)
		}
	}
	var upgrade []string
	for name, value := range good {
		upgrade = append(upgrade, name, value)
	}
	for path, field := range map[string]string{
		"/v1/sse?topics=invoices":             "topics",
		"/v1/sse?Topic=invoices":              "Topic",
		"/v1/sse?topic=invoices&tenant=":      "",
		"/v1/sse?tenant=AA&tenant=BB":         "tenant",
		"/v1/sse?topic=%zz":                   "query",
		"/v1/sse?topic=invoices;verb=created": "query",
		"/v1/sse?nothing":                     "nothing",
		"/v1/ws?topic=invoices":               "topic",
		"/v1/ws?code=%zz":                     "query",
		"/v1/ws?access_token=x&access_token=": tokenParameter,
	} {
		if field == "" {
			w.stream(path, w.token()).next()
			continue
		}
		if status, body := w.call(http.MethodGet, path, w.token(), "", upgrade...); status != http.StatusBadRequest || !strings.Contains(body, "invalid_request") || !strings.Contains(body, field) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// A client that sends too much of anything is closed: pings, pongs and empty messages
// are frames as well.
func TestFrameRateOfEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.MaxFrameRate = 1 }))
	for name, frame := range map[string][]byte{
		"pings": {0x89, 0x80, 0, 0, 0, 0}, "pongs": {0x8a, 0x80, 0, 0, 0, 0}, "empty messages": {0x81, 0x80, 0, 0, 0, 0}, "blank lines": masked("\n\n \n"),
	} {
		conn := w.bare()
		go func() {
			for {
				if _, err := conn.Write(frame); err != nil {
					return // closed, as it should be
				}
			}
		}()
		if code, reason := closeOf(t, conn); code != fault.RateLimited.CloseCode() {
			t.Errorf("%s: closed with %d %q", name, code, reason)
		}
		_ = conn.Close()
	}
}
