package lean

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// pair is a socket and its client.
func pair(t *testing.T, timeout time.Duration) (*Socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), conn.Close() })
	s := &Socket{Conn: conn, timeout: timeout}
	s.now.of(conn)
	return s, client
}

// Offer never waits; what the socket did not take is written whole, before
// anything else, when the client reads again.
func TestOffer(t *testing.T) {
	t.Parallel()
	s, client := pair(t, 10*time.Second)
	var sent bytes.Buffer
	var rest func() error
	for n := 0; rest == nil; n++ {
		frame := bytes.Repeat([]byte{byte(n)}, 64<<10)
		var err error
		if rest, err = s.Offer(frame); err != nil {
			t.Fatal(err)
		}
		sent.Write(frame)
	}
	last := []byte("last")
	again, err := s.Offer(last) // while the socket is held
	if err != nil || again == nil {
		t.Fatalf("the socket is held, and took more: %v", err)
	}
	ended := make(chan error, 2)
	go func() { ended <- rest() }()
	go func() { ended <- again() }()
	sent.Write(last)
	got := make([]byte, sent.Len())
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(got, sent.Bytes()) {
		t.Error("frames were mixed")
	}
	if rest, err := s.Offer([]byte("x")); rest != nil || err != nil { // no deadline was left behind
		t.Errorf("after it: %v", err)
	}
}

// A client that never reads costs the write timeout and no more.
func TestOfferToTheDeaf(t *testing.T) {
	t.Parallel()
	s, _ := pair(t, 50*time.Millisecond)
	frame := make([]byte, 1<<20)
	for {
		rest, err := s.Offer(frame)
		if err != nil {
			t.Fatal(err)
		}
		if rest == nil {
			continue
		}
		if err := rest(); err == nil {
			t.Error("written to a client that does not read")
		}
		return
	}
}
