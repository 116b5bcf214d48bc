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

	"github.com/nats-io/nats.go"
)

// prepared is the reference for windows: no WebSocket library, no queue, no
// limits; a frame is encoded once and written to each socket with one plain
// write. It answers a subscription so that the same client can measure it.
type prepared struct {
	mu      sync.Mutex
	byTopic map[string][]net.Conn
}

// prefix stands where an event's envelope would, in about its size.
var prefix = []byte(`{"cursor":"00000000-0000000000000000","event":{"specversion":"1.0","id":"00000000-0000000000000000","source":"/nats","type":"w0.created","time":"2026-01-01T00:00:00.000000000Z","datacontenttype":"application/json","tenant":"AA","topic":"w0","verb":"created","data":`)

func servePrepared(ctx context.Context, url string) error {
	s := &prepared{byTopic: map[string][]net.Conn{}}
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.Subscribe("live.evt.AA.>", s.arrive); err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(s.upgrade)} //nolint:gosec // a reference on the loopback, for seconds
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

func (s *prepared) upgrade(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n") // a failure shows at the client
	topic := r.URL.Query().Get("topic")
	go s.read(conn, rw.Reader, topic)
}

// read takes the subscription, answers it, and then waits for the end.
func (s *prepared) read(conn net.Conn, in *bufio.Reader, topic string) {
	var h [6]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, in, int64(h[1]&0x7f)); err != nil {
		return
	}
	s.mu.Lock()
	s.byTopic[topic] = append(s.byTopic[topic], conn)
	_, _ = conn.Write(frame([]byte(`{"subscribed":{}}`))) // a failure shows at the client
	s.mu.Unlock()
	_, _ = io.Copy(io.Discard, in) // until the client leaves
	s.mu.Lock()
	delete(s.byTopic, topic)
	s.mu.Unlock()
}

func (s *prepared) arrive(m *nats.Msg) {
	topic := strings.Split(m.Subject, ".")[3]
	f := frame(append(append(append([]byte(nil), prefix...), m.Data...), "}}"...))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.byTopic[topic] {
		_, _ = conn.Write(f) // one who has left is forgotten by read
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
