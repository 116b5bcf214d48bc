package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Buffers of an open WebSocket, in place of net/http's two of 4 KiB. Client
// frames are small, and our own data frames go past the outgoing buffer, which
// only has to hold one control frame (127 bytes).
const (
	leanReadBuffer  = 512
	leanWriteBuffer = 256
)

// leanSocket is the network connection of one WebSocket. coder/websocket does
// the handshake, reads, checks and answers control frames, each in one Write;
// data frames, encoded already, go through the same Write. The mutex keeps
// frames whole.
type leanSocket struct {
	net.Conn
	timeout time.Duration
	mu      sync.Mutex
	closed  bool // our close frame is out
}

// Write sends whole frames, within the write timeout.
func (s *leanSocket) Write(frames []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(frames), nil
	}
	return s.write(frames)
}

// writeLast sends a close frame and swallows whatever is written after it. The
// library, which does not know of our close frame, answers the client's answer
// with one of its own; browsers take a second one for a broken connection and
// show the page 1006 instead of the code.
func (s *leanSocket) writeLast(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	_, err := s.write(frame)
	return err
}

func (s *leanSocket) write(frames []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(frames)
}

// leanWriter is a ResponseWriter whose Hijack hands out a leanSocket and small
// buffers, so that websocket.Accept builds on them.
type leanWriter struct {
	http.ResponseWriter
	timeout time.Duration
	socket  *leanSocket
}

// Hijack takes the connection over from net/http.
func (w *leanWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, old, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := old.Flush(); err != nil { // it holds the 101 answer
		_ = conn.Close() // the first error is the one that counts
		return nil, nil, err
	}
	w.socket = &leanSocket{Conn: conn, timeout: w.timeout}
	early, _ := old.Reader.Peek(old.Reader.Buffered()) // frames that came with the handshake; Peek of what is buffered cannot fail
	var in io.Reader = w.socket
	if len(early) > 0 {
		in = io.MultiReader(bytes.NewReader(bytes.Clone(early)), w.socket)
	}
	// websocket.Accept resets the reader to its buffered bytes and the socket, so
	// the early bytes must be buffered, not only reachable.
	r := bufio.NewReaderSize(in, max(leanReadBuffer, len(early)))
	_, _ = r.Peek(len(early)) // reads them from memory
	return w.socket, bufio.NewReadWriter(r, bufio.NewWriterSize(w.socket, leanWriteBuffer)), nil
}
