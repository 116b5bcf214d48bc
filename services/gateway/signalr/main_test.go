package signalr

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait of a test; nothing waits for it to pass.
const patience = 2 * time.Minute

// replica is a hub over HTTP on a host that does the least: its tokens are users'
// names, its windows write what they are given.
type replica struct {
	t     *testing.T
	hub   *Server
	http  *httptest.Server
	peers *peers

	mu      sync.Mutex
	windows []*window // as they entered
	full    error     // what Enter answers
	calls   []string  // of the method Note, in order
}

// peers is what replicas of one test know of each other.
type peers struct {
	mu     sync.Mutex
	owners map[string]string
}

type peer struct {
	*peers
	name string
}

func (p peer) Claim(id string) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owners[id] = p.name
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.owners, id)
	}, nil
}

func (p peer) Owner(_ context.Context, id string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owners[id], nil
}

func newReplica(t *testing.T, others ...*replica) *replica {
	t.Helper()
	r := &replica{t: t, peers: &peers{owners: map[string]string{}}}
	for _, o := range others {
		r.peers = o.peers
	}
	r.hub = New(Options{
		Host: r, Peers: peer{r.peers, fmt.Sprintf("r%d", len(others)+1)}, WriteTimeout: patience,
		Methods: map[string]Method{
			"Subscribe": func(_ context.Context, _ *Conn, _ []json.RawMessage, complete func()) error {
				complete()
				return nil
			},
			"Refuse": func(context.Context, *Conn, []json.RawMessage, func()) error {
				return fault.Field(fault.UnknownName, "e", "%q is not the name of an event", "x")
			},
			"Bind": func(context.Context, *Conn, []json.RawMessage, func()) error {
				return fmt.Errorf("%w: x", ErrArguments)
			},
			"Break": func(context.Context, *Conn, []json.RawMessage, func()) error { return io.ErrUnexpectedEOF },
			"Note": func(_ context.Context, _ *Conn, args []json.RawMessage, _ func()) error {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.calls = append(r.calls, string(args[0]))
				return nil
			},
			"Wait": func(ctx context.Context, _ *Conn, _ []json.RawMessage, _ func()) error {
				<-ctx.Done()
				return ctx.Err()
			},
		},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hub/negotiate", r.hub.Negotiate)
	mux.HandleFunc("GET /hub", r.hub.Get)
	mux.HandleFunc("POST /hub", r.hub.Post)
	mux.HandleFunc("DELETE /hub", r.hub.Delete)
	r.http = httptest.NewServer(mux)
	r.hub.Start(bytes.Repeat([]byte("k"), 32))
	t.Cleanup(func() {
		r.hub.Stop()
		r.http.Close()
	})
	return r
}

func (r *replica) Authenticate(req *http.Request, _ bool) (*auth.Principal, error) {
	token, err := auth.FromRequest(req, true)
	if err != nil {
		return nil, err
	}
	return &auth.Principal{Issuer: "test", Subject: token, Expires: time.Now().Add(time.Hour)}, nil
}

func (r *replica) Enter(c *Conn, welcome Message) (Window, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full != nil {
		return nil, r.full
	}
	w := &window{c: c, wake: make(chan struct{}, 1), left: make(chan struct{})}
	r.windows = append(r.windows, w)
	w.Put(welcome)
	go w.run()
	return w, nil
}

// last is the newest window, which must be there.
func (r *replica) last() *window {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.windows) == 0 {
		r.t.Fatal("nobody has entered")
	}
	return r.windows[len(r.windows)-1]
}

// window is an unbounded queue and its writer.
type window struct {
	c    *Conn
	wake chan struct{}
	left chan struct{}

	mu      sync.Mutex
	queue   []Message
	closing fault.Code
	renewed int
	paced   int
}

func (w *window) Put(m Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, m)
	w.rouse()
}

func (w *window) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *window) Push(_ context.Context, m Message) error {
	w.Put(m)
	return nil
}

func (w *window) Shut(code fault.Code) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = code
	w.rouse()
}

func (w *window) Pace(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paced++
	return nil
}

func (w *window) Renew(*auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.renewed++
}

func (w *window) Leave() { close(w.left) }

func (w *window) run() {
	for {
		select {
		case <-w.wake:
		case <-w.left:
			return
		}
		w.mu.Lock()
		batch, closing := w.queue, w.closing
		w.queue = nil
		w.mu.Unlock()
		for _, m := range batch {
			if w.c.Write([]Message{m}) != nil {
				w.c.Abort()
				break
			}
		}
		if closing != "" {
			w.c.Goodbye(closing)
		}
	}
}

// event puts an event into the queue, as the gateway does.
func (w *window) event(n int) {
	w.Put(w.c.append(hubprotocol.Message{Kind: hubprotocol.Invocation, Target: "OnEvent", Arguments: []json.RawMessage{json.RawMessage(fmt.Sprint(n))}}))
}

func (w *window) gone() {
	select {
	case <-w.left:
	case <-time.After(patience):
		panic("the window was not left")
	}
}

// call makes a request as anna, or as whoever the header says.
func (r *replica) call(method, query string, body string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.http.URL+"/hub"+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (r *replica) status(method, query, body string, headers ...string) (int, string) {
	r.t.Helper()
	resp := r.call(method, query, body, headers...)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// negotiate answers a connection token.
func (r *replica) negotiate(query string) string {
	r.t.Helper()
	_, body := r.status("POST", "/negotiate?negotiateVersion=1"+query, "")
	var n struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(body), &n); err != nil || n.ConnectionToken == "" {
		r.t.Fatalf("negotiate: %s", body)
	}
	return n.ConnectionToken
}

// client is a test's own SignalR client over a WebSocket.
type client struct {
	t       *testing.T
	ws      *websocket.Conn
	pending []byte
	acks    []string // that came while something else was wanted
}

func (r *replica) dial(query string) *client {
	r.t.Helper()
	ws, resp, err := websocket.Dial(r.t.Context(), "ws"+strings.TrimPrefix(r.http.URL, "http")+"/hub"+query,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer anna"}}})
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{t: r.t, ws: ws}
}

// open is dial and the handshake.
func (r *replica) open(query string) *client {
	r.t.Helper()
	c := r.dial(query)
	version := 1
	if strings.Contains(query, "id=") {
		version = 2
	}
	c.send(fmt.Sprintf(`{"protocol":"json","version":%d}`, version))
	c.want("{}")
	c.send(`{"type":6}`) // as Microsoft's does
	return c
}

// send sends messages in one frame.
func (c *client) send(messages ...string) {
	c.t.Helper()
	text := strings.Join(messages, "\x1e") + "\x1e"
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send %.80s: %v", text, err)
	}
}

// read is the next message.
func (c *client) read() (string, error) {
	for {
		if message, rest, ok := bytes.Cut(c.pending, []byte{0x1e}); ok {
			c.pending = rest
			return string(message), nil
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		_, b, err := c.ws.Read(ctx)
		cancel()
		if err != nil {
			return "", err
		}
		if b[len(b)-1] != 0x1e {
			return "", fmt.Errorf("a frame that ends in the middle of a message: %q", b)
		}
		c.pending = append(c.pending, b...)
	}
}

// want reads what must come. Acknowledgements come when they like, and are kept
// aside until they are wanted.
func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if i := slices.Index(c.acks, want); i >= 0 {
			c.acks = slices.Delete(c.acks, i, i+1)
			continue
		}
		for {
			got, err := c.read()
			if err == nil && got == want {
				break
			}
			if err != nil || !strings.HasPrefix(got, `{"type":8,`) {
				c.t.Fatalf("%s, %v; want %s", got, err, want)
			}
			c.acks = append(c.acks, got)
		}
	}
}

// ended says how the socket was closed.
func (c *client) ended() websocket.StatusCode {
	c.t.Helper()
	got, err := c.read()
	if err == nil {
		c.t.Fatalf("%s; want the end", got)
	}
	return websocket.CloseStatus(err)
}

// until waits for what happens by itself.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still not: %s", what)
		}
	}
}

func event(n int) string {
	return fmt.Sprintf(`{"type":1,"target":"OnEvent","arguments":[%d]}`, n)
}
