package lean

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Buffers of an open WebSocket, in place of net/http's two of 4 KiB. Client
// frames are small, and larger ones are read past the buffer; our own data frames go
// past the outgoing one, which only has to hold a control frame (127 bytes).
const (
	readBuffer  = 256
	writeBuffer = 128
)

// Socket is the network connection of one WebSocket. coder/websocket does
// the handshake, reads, checks and answers control frames, each in one Write;
// data frames, encoded already, go through the same Write. The mutex keeps
// frames whole.
type Socket struct {
	net.Conn
	timeout time.Duration
	mu      sync.Mutex
	closed  bool // our close frame is out
	now     now
}

// Write sends whole frames, within the write timeout.
func (s *Socket) Write(frames []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(frames), nil
	}
	return s.write(frames)
}

// WriteClose sends a close frame and swallows whatever is written after it. The
// library, which does not know of our close frame, answers the client's answer
// with one of its own; browsers take a second one for a broken connection and
// show the page 1006 instead of the code.
func (s *Socket) WriteClose(code int, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	frame := append([]byte{finClose, byte(2 + len(reason))}, 0, 0)
	binary.BigEndian.PutUint16(frame[2:], uint16(code))
	_, err := s.write(append(frame, reason...))
	return err
}

// write writes what the socket takes at once, which nearly always is all, and waits
// for the rest.
func (s *Socket) write(frames []byte) (int, error) {
	n, err := s.now.write(frames)
	if err != nil || n == len(frames) {
		return n, err
	}
	rest, err := s.wait(frames[n:])
	return n + rest, err
}

// wait writes within the write timeout. Only then does the socket have a deadline,
// because setting one costs a tenth of a write.
func (s *Socket) wait(frames []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(frames)
	if err == nil {
		err = s.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// Offer is Write for who must not wait for the client: it writes what the socket
// takes at once. If that was not all, rest writes the rest, and waits. It must be
// called, from any goroutine, and frames must stay as they are until it has
// returned, for the socket is held until then.
func (s *Socket) Offer(frames []byte) (rest func() error, err error) {
	if !s.mu.TryLock() { // a control frame is waiting for the client
		return func() error {
			_, err := s.Write(frames)
			return err
		}, nil
	}
	if s.closed {
		s.mu.Unlock()
		return nil, nil
	}
	n, err := s.now.write(frames)
	if err != nil || n == len(frames) {
		s.mu.Unlock()
		return nil, err
	}
	return func() error {
		defer s.mu.Unlock()
		_, err := s.wait(frames[n:])
		return err
	}, nil
}

// Writer is a ResponseWriter whose Hijack hands out a Socket and small buffers, so
// that websocket.Accept builds on them.
type Writer struct {
	http.ResponseWriter
	Timeout time.Duration // of one write
	Socket  *Socket       // once it is hijacked

	in    *bufio.Reader
	early bool // frames came with the handshake
}

// Settle is called when websocket.Accept has returned. It lets the library, which
// reads through a chain of readers because frames may have come with the handshake,
// read the socket itself if there were none, as is usual: the chain would stay for as
// long as the connection is open.
func (w *Writer) Settle() {
	if !w.early {
		w.in.Reset(w.Socket)
	}
}

// Hijack takes the connection over from net/http.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, old, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := old.Flush(); err != nil { // it holds the 101 answer
		_ = conn.Close() // the first error is the one that counts
		return nil, nil, err
	}
	w.Socket = &Socket{Conn: conn, timeout: w.Timeout}
	w.Socket.now.of(conn)
	early, _ := old.Reader.Peek(old.Reader.Buffered()) // frames that came with the handshake; Peek of what is buffered cannot fail
	var in io.Reader = w.Socket
	if len(early) > 0 {
		in = io.MultiReader(bytes.NewReader(bytes.Clone(early)), w.Socket)
	}
	// websocket.Accept resets the reader to its buffered bytes and the socket, so
	// the early bytes must be buffered, not only reachable.
	r := bufio.NewReaderSize(in, max(readBuffer, len(early)))
	_, _ = r.Peek(len(early)) // reads them from memory
	w.in, w.early = r, len(early) > 0
	return w.Socket, bufio.NewReadWriter(r, bufio.NewWriterSize(w.Socket, writeBuffer)), nil
}
