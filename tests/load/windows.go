package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// window is the least a client can be: it reads frames and remembers how old the
// events in them were.
type window struct {
	conn net.Conn
	in   *bufio.Reader
	live string // cursor of its subscription
	ages []time.Duration
	find func(frame []byte, now int64) []time.Duration // ages of the events in it; nil = one per line
}

// openAtOnce is how many windows are opened at the same time.
const openAtOnce = 64

// openWindows opens n windows, the i-th subscribed to topic(i), of a user of the
// same name, and waits until each is live. Those that are open when one fails are
// answered, too.
func openWindows(ctx context.Context, f *front, n int, topic func(int) string) ([]*window, error) {
	all, opened := make([]*window, n), make(chan error, n)
	tokens := map[string]string{}
	for i := range all {
		if _, known := tokens[topic(i)]; !known {
			token, err := f.token(topic(i))
			if err != nil {
				return nil, err
			}
			tokens[topic(i)] = token
		}
	}
	slots := make(chan struct{}, openAtOnce)
	for i := range all {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			var err error
			open := openWindow
			if f.open != nil {
				open = f.open
			}
			if all[i], err = open(ctx, f.server.http, tokens[topic(i)], topic(i)); err != nil {
				err = fmt.Errorf("window %d: %w", i, err)
			}
			opened <- err
		}()
	}
	var failed []error
	for range all {
		failed = append(failed, <-opened)
	}
	return slices.DeleteFunc(all, func(w *window) bool { return w == nil }), errors.Join(failed...)
}

func openWindow(ctx context.Context, addr, token, topic string) (*window, error) {
	w, err := dialWindow(ctx, addr, token, topic)
	if err != nil {
		return nil, err
	}
	if err := w.subscribe(topic); err != nil {
		_ = w.conn.Close() // the other error says more
		return nil, err
	}
	return w, nil
}

// dialWindow connects and shakes hands.
func dialWindow(ctx context.Context, addr, token, topic string) (*window, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &window{conn: conn, in: bufio.NewReaderSize(conn, 2048)}
	if err := w.handshake(addr, token, topic); err != nil {
		_ = conn.Close() // the other error says more
		return nil, err
	}
	return w, nil
}

func closeWindows(all []*window) {
	for _, w := range all {
		_ = w.conn.Close() // done with it
	}
}

func (w *window) handshake(addr, token, topic string) error {
	return w.upgrade("/v1/ws", addr, token, topicHeader+": "+topic)
}

// topicHeader tells a reference what is subscribed to; it does not read the frame.
const topicHeader = "X-Topic"

func (w *window) upgrade(path, addr, token string, headers ...string) error {
	_, err := fmt.Fprintf(w.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", path, addr, token, lines(headers))
	if err != nil {
		return err
	}
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			return nil
		}
	}
}

// lines are headers as they are sent.
func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// subscribe waits for the answer, and keeps its cursor.
func (w *window) subscribe(topic string) error {
	if err := w.send(`{"subscribe":{"topic":"` + topic + `"}}`); err != nil {
		return err
	}
	for {
		message, err := w.read()
		if err != nil {
			return err
		}
		if _, rest, ok := bytes.Cut(message, []byte(`"subscribed":{"cursor":"`)); ok {
			cursor, _, _ := bytes.Cut(rest, []byte(`"`))
			w.live = string(cursor)
			return nil
		}
		if bytes.Contains(message, []byte(`"subscribed"`)) { // a reference has no cursors
			return nil
		}
	}
}

// send writes one masked text frame of less than 64 KiB.
func (w *window) send(text string) error {
	frame := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}
	if len(text) >= 126 {
		frame = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	}
	frame = append(frame, text...)
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
				if w.find != nil {
					ages := w.find(b, now)
					w.ages = append(w.ages, ages...)
					delivered.Add(int64(len(ages)))
					continue
				}
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
