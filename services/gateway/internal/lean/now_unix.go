//go:build unix

package lean

import (
	"errors"
	"net"
	"syscall"
)

// now writes to a TCP socket without ever waiting for it. On other sockets, those
// with TLS above all, it writes nothing.
type now struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // made once, because each would be an allocation

	// Of the write under way.
	frames []byte
	n      int
	err    error
}

func (w *now) of(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed already; whoever writes will see
	}
	w.raw, w.try = raw, w.once
}

// write answers how much the socket took. Only one goroutine may be in it.
func (w *now) write(frames []byte) (int, error) {
	if w.raw == nil {
		return 0, nil
	}
	w.frames, w.n, w.err = frames, 0, nil
	err := w.raw.Write(w.try)
	w.frames = nil
	return w.n, errors.Join(err, w.err)
}

// once answers true: to whatever calls it, the writing is done.
func (w *now) once(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.frames)
		switch {
		case err == nil:
			w.n = n
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EAGAIN):
			w.err = err
		}
		return true
	}
}
