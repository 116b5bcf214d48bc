package signalr

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// posting is a connection that sends by POST, and reads what it is sent, hub messages
// one after the other.
type posting struct {
	r     *replica
	query string
	next  func() (string, bool) // false: it is over
}

func (r *replica) postingOver(w way) *posting {
	r.t.Helper()
	p := &posting{r: r, query: "?id=" + r.negotiate("")}
	var waiting []string
	take := func(text string) {
		waiting = append(waiting, strings.Split(strings.TrimSuffix(text, "\x1e"), "\x1e")...)
	}
	var more func() bool
	if w == eventStream {
		in := bufio.NewReader(r.call("GET", p.query, "", "Accept", "text/event-stream").Body)
		more = func() bool {
			line, err := in.ReadString('\n')
			if text, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data: "); ok {
				take(text)
			}
			return err == nil
		}
	} else {
		r.status("GET", p.query, "")
		more = func() bool {
			status, body := r.status("GET", p.query, "")
			if body != "" {
				take(body)
			}
			return status == http.StatusOK
		}
	}
	p.next = func() (string, bool) {
		for len(waiting) == 0 {
			if !more() {
				return "", false
			}
		}
		first := waiting[0]
		waiting = waiting[1:]
		return first, true
	}
	return p
}

func (p *posting) send(text string) int {
	p.r.t.Helper()
	status, _ := p.r.status("POST", p.query, text)
	return status
}

func (p *posting) shake() {
	p.r.t.Helper()
	p.send(`{"protocol":"json","version":1}` + "\x1e")
	if got, _ := p.next(); got != "{}" {
		p.r.t.Fatalf("handshake: %s", got)
	}
}

// The same as over a WebSocket: what is wrong ends the connection with a reason, and
// nobody else's.
func TestSR1WrongPosts(t *testing.T) {
	t.Parallel()
	for _, w := range []way{eventStream, longPoll} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			r := newReplica(t)
			other := r.postingOver(w)
			other.shake()
			for _, c := range []struct{ before, sent, told string }{
				{"", "garbage\x1e", `{"error":"invalid_frame: a connection begins with`},
				{"", `{"protocol":"xml","version":1}` + "\x1e", `{"error":"invalid_frame: the protocol 'xml'`},
				{"", strings.Repeat("x", MaxMessage+1), `{"error":"frame_too_large: `},
				{"shake", "garbage\x1e", `{"type":7,"error":"invalid_frame: a message is not a JSON object"}`},
				{"shake", "{\"type\":6,\"x\":\"\xff\"}\x1e", `{"type":7,"error":"invalid_frame: a message is not valid UTF-8"}`},
				{"shake", `{"type":1}` + "\x1e", `{"type":7,"error":"invalid_frame: a message of type 1 needs a target"}`},
				{"shake", `{"type":1,"target":"` + strings.Repeat("x", MaxMessage), `{"type":7,"error":"frame_too_large: a hub message may have 32768 bytes"}`},
			} {
				p := r.postingOver(w)
				if c.before != "" {
					p.shake()
				}
				p.r.call("POST", p.query, c.sent)
				if got, _ := p.next(); !strings.HasPrefix(got, c.told) {
					t.Errorf("%.40q: %s", c.sent, got)
				}
				if got, more := p.next(); more {
					t.Errorf("%.40q: %s, and goes on", c.sent, got)
				}
				if status := p.send(`{"type":6}` + "\x1e"); status != http.StatusNotFound {
					t.Errorf("%.40q: sent afterwards: %d", c.sent, status)
				}
			}
			other.send(`{"type":1,"target":"Subscribe","invocationId":"1","arguments":[]}` + "\x1e")
			if got, _ := other.next(); got != `{"type":3,"invocationId":"1","result":null}` {
				t.Errorf("somebody else: %s", got)
			}
		})
	}
}

// MessagePack over long polls, in pieces and wrong.
func TestSR1WrongPostsOfMessagePack(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	ask := hubprotocol.MessagePack.Append(nil, hubprotocol.Message{Kind: hubprotocol.Invocation, InvocationID: "1", Target: "Subscribe"})
	for in, want := range map[string]string{
		"\xff\xff\xff\xff\xff":              "invalid_frame: the length before a message is malformed",
		"\x82\x80\x02":                      "frame_too_large: a hub message may have 32768 bytes",
		"\x02\x91\xc1":                      "invalid_frame: a message is not an array that begins with its type",
		"\x03\x92\x01\x80":                  "invalid_frame: ",
		"{}\x1e" + strings.Repeat("x", 121): "invalid_frame: ", // JSON after all: { is the length 123
	} {
		query := "?id=" + r.negotiate("")
		r.status("GET", query, "")
		r.status("POST", query, `{"protocol":"messagepack","version":1}`+"\x1e")
		if _, body := r.status("GET", query, ""); body != "{}\x1e" {
			t.Fatalf("%q", body)
		}
		r.status("POST", query, string(ask[:5]))
		r.status("POST", query, string(ask[5:]))
		if _, body := r.status("GET", query, ""); !strings.Contains(body, "\xa11") {
			t.Errorf("a call in two requests: %q", body)
		}
		r.status("POST", query, in)
		if _, body := r.status("GET", query, ""); !strings.Contains(body, want) {
			t.Errorf("%.20q: %q", in, body)
		}
	}
}

// A request may be as large as what waited at the client; only a message has a limit.
func TestSR1PostOfAnySize(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	p := r.postingOver(longPoll)
	p.shake()
	const calls = 100
	var body strings.Builder
	for n := range calls {
		fmt.Fprintf(&body, `{"type":1,"target":"Note","arguments":["%s%d"]}`+"\x1e", strings.Repeat("x", 30_000), n)
	}
	if status := p.send(body.String()); status != http.StatusOK {
		t.Fatalf("%d bytes: %d", body.Len(), status)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != calls || !strings.HasSuffix(r.calls[calls-1], `x99"`) {
		t.Errorf("%d calls were made", len(r.calls))
	}
	if paced := r.windows[len(r.windows)-1].paced; paced != calls {
		t.Errorf("%d of %d messages were counted", paced, calls)
	}
}

// Requests that break off: between two messages nothing is lost; in the middle of one
// what follows could not be read.
func TestSR1PostBreaksOff(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	cut := func(query, body string) {
		t.Helper()
		conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /hub%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer anna\r\nContent-Length: 500\r\n\r\n%s", query, body)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || !strings.Contains(string(answer), "400 Bad Request") {
			t.Errorf("%s %v", answer, err)
		}
	}
	p := r.postingOver(longPoll)
	p.shake()
	cut(p.query, `{"type":1,"target":"Note","arguments":[1]}`+"\x1e")
	p.send(`{"type":1,"target":"Note","arguments":[2],"invocationId":"2"}` + "\x1e")
	if got, _ := p.next(); got != `{"type":3,"invocationId":"2","result":null}` {
		t.Errorf("behind a whole message: %s", got)
	}
	cut(p.query, `{"type":1,"target":"Note",`)
	if got, _ := p.next(); got != `{"type":7,"error":"invalid_request: body: breaks off"}` {
		t.Errorf("behind half a message: %s", got)
	}
}

// A connection whose last message nobody fetches ends all the same, and whoever says
// goodbye to it then does not wait for ever.
func TestSR1PollsStopUntaken(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	p := r.postingOver(longPoll)
	p.shake()
	w := r.last()
	l, _ := w.c.current()
	polls := l.(*pollLine)
	w.event(1)
	until(t, "offered", func() bool {
		polls.mu.Lock()
		defer polls.mu.Unlock()
		return polls.offered != nil
	})
	w.c.Abort()
	w.gone()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.c.Goodbye(fault.Draining)
	}()
	until(t, "said goodbye", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// Who sends without end is not heard out: what is wrong in it ends the request.
func TestSR1PostWithoutEnd(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	p := r.postingOver(longPoll)
	p.shake()
	in, out := io.Pipe()
	go func() {
		for {
			if _, err := io.WriteString(out, strings.Repeat("garbage\x1e", 1000)); err != nil {
				return
			}
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.http.URL+"/hub"+p.query, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	if resp, err := http.DefaultClient.Do(req); err == nil { // the server may have closed while we wrote
		_ = resp.Body.Close()
	}
	_ = in.Close()
	if got, _ := p.next(); !strings.HasPrefix(got, `{"type":7,"error":"invalid_frame: `) {
		t.Errorf("%s", got)
	}
}

// HEAD is no GET: it opens nothing.
func TestSR1Head(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	id := "?id=" + r.negotiate("")
	if resp := r.call("HEAD", id, ""); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, POST, DELETE" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	r.open(id)
}
