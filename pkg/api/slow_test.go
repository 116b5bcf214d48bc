package api_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// pipes is a listener whose connections are in memory, so that a server and its
// clients live in a bubble, where ninety seconds take none.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// slowly runs a client against the server that every process has, with its real
// timeouts, in a bubble.
func slowly(t *testing.T, client func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		mux.HandleFunc("/poll", func(w http.ResponseWriter, r *http.Request) {
			if _, err := api.ReadBody(w, r, 1<<10); err != nil {
				api.WriteError(w, r, err)
				return
			}
			select {
			case <-time.After(91 * time.Second):
				api.WriteJSON(w, 200, "late")
			case <-r.Context().Done():
			}
		})
		mux.HandleFunc("POST /refuse", func(w http.ResponseWriter, r *http.Request) {
			api.WriteError(w, r, fault.New(fault.TokenMissing, "a token is required"))
		})
		mux.HandleFunc("POST /take", func(w http.ResponseWriter, r *http.Request) {
			b, err := api.ReadBody(w, r, 8<<20)
			if err != nil {
				api.WriteError(w, r, err)
				return
			}
			api.WriteJSON(w, 200, len(b))
		})
		mux.HandleFunc("GET /much", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
		})
		mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		})
		s := api.NewServer(api.ServerOptions{Key: "http.addr", Handler: api.Routes(mux), Log: slog.New(slog.DiscardHandler)}).HTTP()
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		var conns []net.Conn
		client(t, func() net.Conn {
			here, there := net.Pipe()
			l.conns <- there
			conns = append(conns, here)
			return here
		})
		for _, c := range conns {
			c.Close()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// ask sends a request and reads its answer.
func ask(t *testing.T, c net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return answer(t, c)
}

func answer(t *testing.T, c net.Conn) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(b))
}

func took(t *testing.T, what string, began time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(began); d < want || d > want+time.Second {
		t.Errorf("%s after %s, want %s", what, d, want)
	}
}

// The longest poll is answered, with a body and without, and after it the next.
func TestLongPollsAreLeftAlone(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		for _, request := range []string{
			"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST /poll HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
			"POST /poll HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		} {
			began := time.Now()
			if resp, body := ask(t, c, request); resp.StatusCode != 200 || body != `"late"` {
				t.Errorf("%q: %s %s", request, resp.Status, body)
			}
			took(t, "answered", began, 91*time.Second)
		}
		began := time.Now()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		took(t, "an idle connection closed", began, 75*time.Second)
	})
}

// A connection that was taken over, as WebSockets are, may be silent for ever.
func TestSilentConnectionsAreLeftAlone(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		if _, err := io.WriteString(c, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-time.After(24 * time.Hour)
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

// Slowloris: a header a second, for ever.
func TestSlowHeadersAreCut(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		c, began := dial(), time.Now()
		_, err := io.WriteString(c, "GET /poll HTTP/1.1\r\nHost: x\r\n")
		for i := 0; err == nil; i++ {
			<-time.After(time.Second)
			_, err = fmt.Fprintf(c, "X-%d: x\r\n", i)
			if i > 100 {
				t.Fatal("never cut")
			}
		}
		took(t, "cut", began, 10*time.Second)
	})
}

// A body may be slow, but not as slow as somebody who only wants our memory.
func TestSlowBodies(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		// A stranger's is not read by us, but by net/http before it answers.
		for path, code := range map[string]fault.Code{"/take": fault.InvalidRequest, "/refuse": fault.TokenMissing} {
			c, began := dial(), time.Now()
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				_, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
				for err == nil {
					<-time.After(time.Second)
					_, err = io.WriteString(c, "x")
				}
			}()
			resp, body := answer(t, c)
			if resp.StatusCode != code.HTTPStatus() || !strings.Contains(body, string(code)) {
				t.Errorf("%s: %s %s", path, resp.Status, body)
			}
			took(t, path+": refused", began, 30*time.Second)
			<-cut // closed with the answer
		}

		// 20 KiB a second for five minutes is a phone in a tunnel.
		c := dial()
		const seconds, each = 300, 20 << 10
		go func() {
			_, err := fmt.Fprintf(c, "POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", seconds*each)
			for range seconds {
				if err == nil {
					<-time.After(time.Second)
					_, err = c.Write(make([]byte, each))
				}
			}
			if err != nil {
				t.Error(err)
			}
		}()
		if resp, body := answer(t, c); resp.StatusCode != 200 || body != fmt.Sprint(seconds*each) {
			t.Errorf("%s %s", resp.Status, body)
		}
	})
}

// Who asks for much and reads nothing of it does not keep a goroutine of ours.
func TestSlowReadersAreCut(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		c, began := dial(), time.Now()
		if _, err := io.WriteString(c, "GET /much HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// The connection is closed once the write is given up; what we write then fails.
		var err error
		for i := 0; err == nil && i < 100; i++ {
			<-time.After(time.Second)
			if err = c.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
				break
			}
			if _, err = io.WriteString(c, "x"); isTimeout(err) {
				err = nil // it is not reading now
			}
		}
		if err == nil {
			t.Fatal("never cut")
		}
		took(t, "cut", began, 30*time.Second)
	})
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error) //nolint:errorlint // what a pipe returns, as it is
	return ok && n.Timeout()
}

func TestLargeHeadersAreRefused(t *testing.T) {
	slowly(t, func(t *testing.T, dial func() net.Conn) {
		for size, status := range map[int]int{16 << 10: 404, 64 << 10: 431} {
			c := dial()
			go func() {
				_, _ = io.WriteString(c, "GET /none HTTP/1.1\r\nHost: x\r\nCookie: "+strings.Repeat("x", size)+"\r\n\r\n") // cut, if it is too much
			}()
			if resp, _ := answer(t, c); resp.StatusCode != status {
				t.Errorf("%d bytes: %s", size, resp.Status)
			}
		}
	})
}
