package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
)

func TestMain(m *testing.M) {
	ats.Register() // one for the binary, so that no test seems to leak it
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait of a test; nothing waits for it to pass.
const patience = time.Minute

// unhurried is a setting whose double everybody keeps to who works at all, however
// busy the machine is, and that a test can wait for.
const unhurried = 5 * time.Second

// world is a gateway over HTTP on a NATS server of its own.
type world struct {
	t      testing.TB
	nats   *bustest.Server
	tokens *auth.HS256
	s      *Service
	http   *httptest.Server
	mux    *http.ServeMux // behind http
	api    *api.Mux
	stop   func()
}

type worldOption func(*Options, *[]bustest.Option)

func configure(change func(*Config)) worldOption {
	return func(o *Options, _ *[]bustest.Option) { change(&o.Config) }
}

func tracer(t trace.Tracer) worldOption {
	return func(o *Options, _ *[]bustest.Option) { o.Env.Tracer = t }
}

// beside is one more gateway on another's NATS server, as another process is.
func beside(w *world) worldOption {
	return func(o *Options, _ *[]bustest.Option) { o.Env.Bus = w.nats.Connect() }
}

func newWorld(t testing.TB, options ...worldOption) *world {
	t.Helper()
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Config: Default(), Env: process.Env{
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider().Tracer(""),
		Guard: auth.NewGuard(auth.GuardOptions{Tokens: tokens}), Mux: http.NewServeMux(), MaxEventBytes: 1 << 20, TokenLife: time.Hour,
	}}
	var servers []bustest.Option
	for _, f := range options {
		f(&o, &servers)
	}
	o.Env.API = api.NewMux(api.MuxOptions{
		HTTP: o.Env.Mux, Guard: o.Env.Guard, Registry: o.Env.Registry, Tracer: o.Env.Tracer, Log: o.Env.Log, Limiter: o.Env.Limits, Audit: o.Env.Audit, MaxBytes: 8 * o.Env.MaxEventBytes,
	})
	w := &world{t: t, tokens: tokens, mux: o.Env.Mux, api: o.Env.API}
	if o.Env.Bus == nil {
		w.nats = bustest.Start(t, append(servers, bustest.Spec(func(s *topology.Spec) { *s = s.And(Topology(topology.Options{})) }))...)
		o.Env.Bus = w.nats.Bus()
	}
	if w.s, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.s.Run(ctx) }()
	w.http = httptest.NewServer(api.Audited(o.Env.Audit, o.Env.Mux))
	select {
	case <-w.s.Ready():
	case err := <-ended:
		t.Fatalf("run: %v", err)
	}
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		w.http.Close()
	}
	t.Cleanup(w.stop)
	return w
}

// of is the gateway's side of a window, by the id that its welcome had.
func (w *world) of(id string) *connection {
	w.t.Helper()
	for _, c := range w.s.hub.all() {
		if c.id == id {
			return c
		}
	}
	w.t.Fatalf("nobody has the id %q", id)
	return nil
}

// token is a token of anna for AA with the given grants, or all.
func (w *world) token(grants ...string) string {
	w.t.Helper()
	gs, err := auth.ParseGrants(grants)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(grants) == 0 {
		gs = auth.Everything()
	}
	return w.sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: gs, TTL: time.Hour})
}

func (w *world) sign(c auth.Claims) string {
	w.t.Helper()
	token, err := w.tokens.Sign(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// publish stores bare JSON as a plain NATS client does and answers its sequence.
func (w *world) publish(subj, data string) uint64 {
	w.t.Helper()
	return w.publishMsg(&nats.Msg{Subject: subj, Data: []byte(data)})
}

func (w *world) publishMsg(m *nats.Msg) uint64 {
	w.t.Helper()
	ack, err := w.nats.Bus().JS.PublishMsg(w.t.Context(), m)
	if err != nil {
		w.t.Fatalf("publish %s: %v", m.Subject, err)
	}
	return ack.Sequence
}

// call makes an HTTP request with a token and answers status and body.
func (w *world) call(method, path, token, body string, headers ...string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// frame is a server frame as a client sees it.
type frame struct {
	ID         string `json:"id"`
	Cursor     string `json:"cursor"`
	Welcome    *struct{ Connection, Epoch string }
	Subscribed *struct{ Cursor string }
	Resumed    *struct{ Cursor string }
	Unsubbed   *struct{} `json:"unsubscribed"`
	Pong       *struct{}
	Narrowed   *struct{ Codes []string }
	Renewed    *struct{ Seconds int }
	Expiring   *struct{ Seconds int }
	Ended      *struct {
		Subscription struct{ Tenant, Topic string }
		Error        struct{ Code string }
	}
	Event *struct {
		ID, Type, Subject, Topic, Verb, Tenant, Malformed string
		Recipient                                         string
		Data                                              json.RawMessage
	}
	Error *struct {
		Code, Message string
		Details       map[string]string
	}
}

// window is a test's own plain WebSocket client.
type window struct {
	t       testing.TB
	id      string // of the welcome
	ws      *websocket.Conn
	pending []frame
}

func (w *world) dial(token string) *window {
	w.t.Helper()
	ws, resp, err := websocket.Dial(w.t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/ws?access_token="+token,
		&websocket.DialOptions{Subprotocols: []string{Subprotocol}})
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	return &window{t: w.t, ws: ws}
}

// open dials and takes the welcome.
func (w *world) open(token string) *window {
	w.t.Helper()
	c := w.dial(token)
	f := c.next()
	if f.Welcome == nil {
		w.t.Fatalf("the first frame is %+v, not welcome", f)
	}
	c.id = f.Welcome.Connection
	return c
}

func (c *window) send(text string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send %s: %v", text, err)
	}
}

// read answers the next frame, or the error that ended the connection.
func (c *window) read() (frame, error) {
	if len(c.pending) == 0 {
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		defer cancel()
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return frame{}, err
		}
		for line := range bytes.Lines(b) {
			var f frame
			if err := json.Unmarshal(line, &f); err != nil {
				return f, fmt.Errorf("frame %q: %w", line, err)
			}
			c.pending = append(c.pending, f)
		}
	}
	f := c.pending[0]
	c.pending = c.pending[1:]
	return f, nil
}

func (c *window) next() frame {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return f
}

// ask sends one frame and answers the next one.
func (c *window) ask(text string) frame {
	c.t.Helper()
	c.send(text)
	return c.next()
}

// event answers the next frame, which must be an event.
func (c *window) event() frame {
	c.t.Helper()
	f := c.next()
	if f.Event == nil {
		c.t.Fatalf("expected an event, got %+v", f)
	}
	return f
}

// nothing proves that no event is on its way to c: a marker published later has
// been routed, and c's queue is in order.
func (w *world) nothing(c *window) {
	w.t.Helper()
	marker := w.open(w.sign(auth.Claims{Subject: "marker", Tenants: []string{"ZZ"}, Grants: auth.Everything(), TTL: time.Hour}))
	marker.ask(`{"subscribe":{}}`)
	w.publish("evt.ZZ.marker.set", `{}`)
	marker.event() // routed, so everything before it was
	if f := c.ask(`{"id":"end","ping":{}}`); f.Pong == nil {
		w.t.Fatalf("expected nothing but the pong, got %+v", f)
	}
}

// closed answers the close code that ends the connection.
func (c *window) closed() (websocket.StatusCode, string) {
	c.t.Helper()
	for {
		_, err := c.read()
		var e websocket.CloseError
		switch {
		case err == nil:
		case websocket.CloseStatus(err) != -1:
			_ = asClose(err, &e)
			return e.Code, e.Reason
		default:
			c.t.Fatalf("expected a close code, got %v", err)
		}
	}
}

// stream is a test's own event-stream client.
type stream struct {
	t    testing.TB
	resp *http.Response
	in   *bufio.Reader
}

type sseEvent struct{ id, name, data string }

func (w *world) stream(path, token string, headers ...string) *stream {
	w.t.Helper()
	return w.streamBy(http.DefaultClient, w.http.URL+path, token, headers...)
}

func (w *world) streamBy(client *http.Client, url, token string, headers ...string) *stream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	return &stream{w.t, resp, bufio.NewReader(resp.Body)}
}

// next reads one message; a message without data is one too here.
func (s *stream) next() (e sseEvent) {
	s.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatalf("stream: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			if value == "" && e != (sseEvent{}) {
				return e
			}
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		}
	}
}

// eventually waits for a condition that another goroutine makes true.
func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, condition)
}
