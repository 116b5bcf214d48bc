package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
)

// reference is the least that a server of windows can be: no queue, no limits, one
// write for each delivery, and everything in the goroutine that receives. It
// answers a subscription so that the same client can measure it.
//
//	prepared   no WebSocket library: a frame is encoded once and written to each
//	           socket with one plain write. The limit without batching.
//	raw        coder/websocket, one Write for each delivery.
type reference struct {
	mu      sync.Mutex
	byTopic map[string][]receiver
}

// receiver is one window.
type receiver interface {
	// deliver writes an event that is encoded already: as a frame, and its text.
	deliver(frame, text []byte)
}

// prefix stands where an event's envelope would, in about its size.
var prefix = []byte(`{"cursor":"00000000-0000000000000000","event":{"specversion":"1.0","id":"00000000-0000000000000000","source":"/nats","type":"w0.created","time":"2026-01-01T00:00:00.000000000Z","datacontenttype":"application/json","tenant":"AA","topic":"w0","verb":"created","data":`)

func serveReference(ctx context.Context, kind, url string) error {
	s := &reference{byTopic: map[string][]receiver{}}
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, pattern := range []string{"live.evt.AA.>", "rt.AA.>"} {
		if _, err := nc.Subscribe(pattern, s.arrive); err != nil {
			return err
		}
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	upgrade := s.prepared
	if kind == kindRaw {
		upgrade = s.raw
	}
	server := &http.Server{Handler: http.HandlerFunc(upgrade)} //nolint:gosec // a reference on the loopback, for seconds
	go func() {
		<-terminated(ctx)
		_ = server.Close() // the process ends
	}()
	fmt.Println(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// arrive takes live.evt.AA.<topic>.<verb> and rt.AA.u.<user>; a window's topic is
// its user's name.
func (s *reference) arrive(m *nats.Msg) {
	topic := strings.Split(m.Subject, ".")[3]
	text := append(append(append([]byte(nil), prefix...), m.Data...), "}}"...)
	f := frame(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.byTopic[topic] {
		r.deliver(f, text)
	}
}

// add makes a window known and answers its subscription.
func (s *reference) add(topic string, r receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byTopic[topic] = append(s.byTopic[topic], r)
	text := []byte(`{"subscribed":{}}`)
	r.deliver(frame(text), text)
}

func (s *reference) remove(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byTopic, topic) // they all leave together
}

// socket is a window of prepared. One who has left is forgotten by whoever reads
// from it.
type socket struct{ net.Conn }

func (s socket) deliver(frame, _ []byte) { _, _ = s.Write(frame) }

func (s *reference) prepared(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n") // a failure shows at the client
	topic := r.Header.Get(topicHeader)
	go func() {
		if err := skipFrame(rw.Reader); err != nil {
			return
		}
		s.add(topic, socket{conn})
		_, _ = io.Copy(io.Discard, conn) // until the client leaves
		s.remove(topic)
	}()
}

// skipFrame reads one short masked frame.
func skipFrame(in *bufio.Reader) error {
	var h [6]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, in, int64(h[1]&0x7f))
	return err
}

// library is a window of raw.
type library struct{ *websocket.Conn }

func (l library) deliver(_, text []byte) {
	_ = l.Write(context.Background(), websocket.MessageText, text) // as socket's
}

func (s *reference) raw(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	topic := r.Header.Get(topicHeader)
	for first := true; ; first = false {
		if _, _, err := ws.Read(context.Background()); err != nil {
			s.remove(topic)
			return
		}
		if first {
			s.add(topic, library{ws})
		}
	}
}

func frame(payload []byte) []byte {
	f := []byte{0x81}
	switch {
	case len(payload) < 126:
		f = append(f, byte(len(payload)))
	default:
		f = binary.BigEndian.AppendUint16(append(f, 126), uint16(len(payload)))
	}
	return append(f, payload...)
}
