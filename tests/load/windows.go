package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// window is the least a client can be: it reads frames and remembers how old the
// events in them were.
type window struct {
	conn net.Conn
	in   *bufio.Reader
	ages []time.Duration
}

// openWindows opens n windows, the i-th subscribed to topic(i), and waits until
// each is live.
func openWindows(ctx context.Context, addr, token string, n int, topic func(int) string) ([]*window, error) {
	all := make([]*window, n)
	var d net.Dialer
	for i := range all {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return all[:i], err
		}
		w := &window{conn: conn, in: bufio.NewReaderSize(conn, 2048)}
		all[i] = w
		if err := w.open(addr, token, topic(i)); err != nil {
			return all[:i+1], fmt.Errorf("window %d: %w", i, err)
		}
	}
	return all, nil
}

func closeWindows(all []*window) {
	for _, w := range all {
		_ = w.conn.Close() // done with it
	}
}

func (w *window) open(addr, token, topic string) error {
	_, err := fmt.Fprintf(w.conn, "GET /v1/ws?topic=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", topic, addr, token)
	if err != nil {
		return err
	}
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
	}
	if err := w.send(`{"subscribe":{"topic":"` + topic + `"}}`); err != nil {
		return err
	}
	for {
		message, err := w.read()
		if err != nil {
			return err
		}
		if bytes.Contains(message, []byte(`"subscribed"`)) {
			return nil
		}
	}
}

// send writes one masked text frame of less than 126 bytes.
func (w *window) send(text string) error {
	frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	_, err := w.conn.Write(frame)
	return err
}

func (w *window) read() ([]byte, error) {
	var h [10]byte
	if _, err := io.ReadFull(w.in, h[:2]); err != nil {
		return nil, err
	}
	size := int(h[1])
	switch size {
	case 126:
		if _, err := io.ReadFull(w.in, h[:2]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint16(h[:]))
	case 127:
		if _, err := io.ReadFull(w.in, h[:8]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint64(h[:]))
	}
	b := make([]byte, size)
	_, err := io.ReadFull(w.in, b)
	return b, err
}

// watch reads on every window until it is closed; delivered counts events.
func watch(all []*window, delivered *atomic.Int64) (wait func()) {
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() {
			for {
				b, err := w.read()
				if err != nil {
					return
				}
				now := time.Now().UnixNano()
				for line := range bytes.Lines(b) {
					if age, ok := ageOf(line, now); ok {
						w.ages = append(w.ages, age)
						delivered.Add(1)
					}
				}
			}
		})
	}
	return group.Wait
}

// ageOf finds the stamp that a measured event carries.
func ageOf(line []byte, now int64) (time.Duration, bool) {
	_, rest, ok := bytes.Cut(line, []byte(`{"t":`))
	if !ok {
		return 0, false
	}
	digits, _, _ := bytes.Cut(rest, []byte(","))
	t, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Duration(now - t), err == nil
}
