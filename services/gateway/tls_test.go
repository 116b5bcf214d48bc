package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/certs/certstest"
)

// secure serves a world's routes over TLS, too, by the server that every Belfry
// process has, and gives its address.
func (w *world) secure(ca *certstest.Authority, pair certstest.Pair, clients bool) string {
	w.t.Helper()
	file := ""
	if clients {
		file = ca.File
	}
	log := slog.New(slog.DiscardHandler)
	config, err := api.LoadTLS("http", pair.Cert, pair.Key, file, log)
	if err != nil {
		w.t.Fatal(err)
	}
	s := api.NewServer(api.ServerOptions{Key: "http.addr", Addr: "127.0.0.1:0", Handler: w.http.Config.Handler, TLS: config, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		w.stop() // the gateway says goodbye first
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	<-s.Ready()
	return s.Addr().String()
}

// over is a client that remembers the certificate it was shown last.
type over struct {
	*http.Client
	mu     sync.Mutex
	serial string
}

func newOver(t *testing.T, config *tls.Config) *over {
	o := &over{}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.serial = s.PeerCertificates[0].SerialNumber.String()
		return nil
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	o.Client = &http.Client{Transport: transport}
	return o
}

func (o *over) shown() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.serial
}

// A window over wss, a stream and a publisher over https; the certificate is
// renewed while they are open, and nobody is cut.
func TestEverythingOverTLS(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair := ca.Issue("belfry")
	w := newWorld(t)
	addr, token := w.secure(ca, pair, false), w.token()

	client := newOver(t, ca.Client())
	// Browsers and coder/websocket upgrade HTTP/1.1 only; ALPN says so.
	config := ca.Client()
	config.NextProtos = []string{"http/1.1"}
	dial := func() (*window, *over) {
		t.Helper()
		o := newOver(t, config.Clone())
		o.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		ws, resp, err := websocket.Dial(t.Context(), "wss://"+addr+"/v1/ws?access_token="+token,
			&websocket.DialOptions{Subprotocols: []string{Subprotocol}, HTTPClient: o.Client})
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		t.Cleanup(func() { _ = ws.CloseNow() })
		c := &window{t: t, ws: ws}
		if f := c.next(); f.Welcome == nil {
			t.Fatalf("the first frame is %+v, not welcome", f)
		}
		return c, o
	}
	first, _ := dial()
	first.ask(`{"subscribe":{"topic":"invoices"}}`)

	stream := w.streamBy(client.Client, "https://"+addr+"/v1/sse?topic=invoices", token)
	stream.next() // open

	post := func(id string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+addr+"/v1/events", strings.NewReader(`{"n":1}`))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{
			"Authorization": "Bearer " + token, "Content-Type": "application/json", "ce-specversion": "1.0",
			"ce-id": id, "ce-source": "/erp", "ce-type": "invoices.created",
		} {
			r.Header.Set(k, v)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("POST: %s", resp.Status)
		}
		return resp.Proto
	}
	if proto := post("before"); proto != "HTTP/2.0" {
		t.Errorf("published over %s", proto)
	}
	if e := first.event(); e.Event.ID != "before" {
		t.Errorf("the window shows %+v", e)
	}
	if e := stream.next(); !strings.Contains(e.data, `"id":"before"`) {
		t.Errorf("the stream shows %+v", e)
	}

	renewed := ca.Renew(pair, "belfry").String()
	second, o := dial()
	if o.shown() != renewed {
		t.Errorf("a new window was shown certificate %s, want %s", o.shown(), renewed)
	}
	second.ask(`{"subscribe":{"topic":"invoices"}}`)
	post("after") // on the old connection
	for _, c := range []*window{first, second} {
		if e := c.event(); e.Event.ID != "after" {
			t.Errorf("after the renewal: %+v", e)
		}
	}
	if e := stream.next(); !strings.Contains(e.data, `"id":"after"`) {
		t.Errorf("the stream shows %+v", e)
	}
	// The library's own close frame and ours both go through the same socket.
	if err := first.ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A listener that asks for certificates serves only those who show one.
func TestOnlyKnownMachines(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	w := newWorld(t)
	addr := w.secure(ca, ca.Issue("belfry"), true)
	for name, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"a stranger": {ca.Client(), false},
		"a machine":  {ca.Client(ca.Issue("erp")), true},
	} {
		resp, err := newOver(t, c.config).Get("https://" + addr + "/v1/events")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized { // a certificate is no token
				t.Errorf("%s: %s", name, resp.Status)
			}
		}
	}
}
