package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newLog() (*logged, *slog.Logger) {
	l := &logged{}
	return l, slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		status int
		body   string
		header string // one that must be there, "Name: value"
		logs   string
	}{
		{"a fault", fault.Field(fault.InvalidTopic, "topic", "must not be empty"), 400, `{"code":"invalid_topic","message":"topic: must not be empty","details":{"field":"topic"}}`, "Content-Type: application/json", ""},
		{"no token", fault.New(fault.TokenMissing, "a token is required"), 401, `{"code":"token_missing","message":"a token is required"}`, "WWW-Authenticate: Bearer", ""},
		{"a bad token", fault.New(fault.TokenExpired, "token: has expired"), 401, `{"code":"token_expired","message":"token: has expired"}`, `WWW-Authenticate: Bearer error="invalid_token"`, ""},
		{"down", fault.New(fault.Draining, "shutting down"), 503, `{"code":"draining","message":"shutting down"}`, "Retry-After: 1", ""},
		{"ours", errors.New("password is hunter2"), 500, `{"code":"internal","message":"internal error"}`, "Cache-Control: no-store", "hunter2"},
		{"nil is a defect", nil, 500, `{"code":"internal","message":"internal error"}`, "Cache-Control: no-store", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, log := newLog()
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			api.WriteError(w, r.WithContext(api.WithLog(t.Context(), log)), c.err)
			name, value, _ := strings.Cut(c.header, ": ")
			if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body || w.Header().Get(name) != value {
				t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
			}
			if c.logs != "" && !strings.Contains(out.String(), c.logs) {
				t.Errorf("the cause is not in the log: %s", out)
			}
		})
	}
	w := httptest.NewRecorder()
	api.WriteJSON(w, 200, func() {})
	if w.Code != 500 || !strings.Contains(w.Body.String(), "internal") {
		t.Errorf("what cannot be JSON: %d %s", w.Code, w.Body)
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body io.Reader
		code fault.Code
	}{
		{"exactly the limit", strings.NewReader("12345"), ""},
		{"announced too large", strings.NewReader("123456"), fault.EventTooLarge},
		{"too large without saying so", io.MultiReader(strings.NewReader("123456")), fault.EventTooLarge},
		{"breaks off", io.MultiReader(strings.NewReader("123"), broken{}), fault.InvalidRequest},
	} {
		r := httptest.NewRequest("POST", "/", c.body)
		b, err := api.ReadBody(httptest.NewRecorder(), r, 5)
		if fault.CodeOf(err) != c.code || err == nil && string(b) != "12345" {
			t.Errorf("%s: %q, %v", c.name, b, err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// serve runs a server until the test ends and returns its URL; stop asks it to
// stop and waits for its result.
func serve(t *testing.T, h http.Handler, log *slog.Logger) (url string, stop func() error) {
	t.Helper()
	s := api.NewServer(api.ServerOptions{Key: "http.addr", Addr: "127.0.0.1:0", Handler: h, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return "http://" + s.Addr().String(), stop
}

// get does one request on a connection of its own.
func get(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(b))
}

func TestServer(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", func(w http.ResponseWriter, r *http.Request) { api.WriteJSON(w, 200, r.PathValue("id")) })
	mux.HandleFunc("POST /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("OPTIONS /v2/", func(http.ResponseWriter, *http.Request) {}) // as a preflight of all of it
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("no paper") })
	mux.HandleFunc("GET /late-panic", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); panic("no ink") })
	mux.HandleFunc("GET /own-policy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
	})
	out, log := newLog()
	url, stop := serve(t, api.Routes(mux), log)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v1/things/7?access_token=hunter2", 200, `"7"`},
		{"GET", "/v1/thing", 404, `{"code":"not_found","message":"there is no such route"}`},
		{"GET", "/v2/thing", 404, `{"code":"not_found","message":"there is no such route"}`},
		{"DELETE", "/v1/things/7", 405, `{"code":"method_not_allowed","message":"DELETE is not a method of this route; it has GET, HEAD, POST"}`},
		{"GET", "/panic?access_token=hunter2", 500, `{"code":"internal","message":"internal error"}`},
		{"GET", "/late-panic", 202, ""},
	} {
		resp, body := get(t, c.method, url+c.path)
		if resp.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body)
		}
		for _, h := range []string{"X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy"} {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s %s: no %s", c.method, c.path, h)
			}
		}
	}
	if resp, _ := get(t, "GET", url+"/own-policy"); resp.Header.Get("Content-Security-Policy") != "default-src 'none'" {
		t.Error("a handler cannot change the policy")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"no paper", "no ink", `route="GET /v1/things/{id}" status=200`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a token was logged:\n%s", out)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, code := range map[string]fault.Code{
		l.Addr().String(): fault.PortInUse,
		"127.0.0.1":       fault.InvalidConfig,
		"192.0.2.1:80":    fault.InvalidConfig, // not an address of this machine
	} {
		_, log := newLog()
		err := api.NewServer(api.ServerOptions{Key: "admin.addr", Addr: addr, Handler: http.NotFoundHandler(), Log: log}).Run(t.Context())
		if e := fault.From(err); e == nil || e.Code() != code || e.Details()["field"] != "admin.addr" || !strings.Contains(e.Error(), addr) {
			t.Errorf("%s: %v (%s)", addr, err, fault.CodeOf(err))
		}
	}
}

// A request in flight finishes, new ones are refused.
func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	_, log := newLog()
	url, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		api.WriteJSON(w, 200, "done")
	}), log)
	answer := make(chan string)
	go func() {
		_, body := get(t, "GET", url)
		answer <- body
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	for { // until the listener is gone
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case <-stopped:
		t.Fatal("stopped with a request in flight")
	default:
	}
	close(release)
	if got := <-answer; got != `"done"` {
		t.Errorf("answered %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Streams flush through the middleware, and a WebSocket takes the connection.
func TestFlushAndHijack(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	release := make(chan struct{})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-release
	})
	mux.HandleFunc("GET /take", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 418 Taken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = c.Close()
	})
	_, log := newLog()
	url, _ := serve(t, api.Routes(mux), log)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", url+"/stream", nil)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "first\n" {
		t.Errorf("%q %v", line, err)
	}
	close(release)
	_ = resp.Body.Close()
	if resp, _ := get(t, "GET", url+"/take"); resp.StatusCode != 418 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	var why error
	h := api.Gate(func(*http.Request) error { return why }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 204 {
		t.Errorf("open: %d", w.Code)
	}
	why, w = fault.New(fault.Starting, "not serving yet"), httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var e fault.Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 503 || e.Code() != fault.Starting || w.Header().Get("Connection") != "close" {
		t.Errorf("closed: %d %s %v", w.Code, w.Body, err)
	}
}
