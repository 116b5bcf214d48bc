package process_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/topology"
)

// service is a part that serves one route and can be held back.
type service struct {
	env    process.Env
	open   chan struct{} // closed: becomes ready; nil = at once
	ready  chan struct{}
	leave  func() // called while stopping
	broken error  // what Check says
}

func (s *service) part(name string) process.Part {
	return process.Part{Name: name, New: func(e process.Env) (run.Service, error) {
		s.env, s.ready = e, make(chan struct{})
		e.Mux.HandleFunc("GET /v1/"+name, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		return s, nil
	}}
}

func (s *service) Ready() <-chan struct{}      { return s.ready }
func (s *service) Check(context.Context) error { return s.broken }
func (s *service) Run(ctx context.Context) error {
	if s.open != nil {
		select {
		case <-s.open:
		case <-ctx.Done():
			return nil
		}
	}
	close(s.ready)
	<-ctx.Done()
	if s.leave != nil {
		s.leave()
	}
	return nil
}

func TestProcess(t *testing.T) {
	t.Parallel()
	svc := &service{}
	c := config(t)
	p := start(t, process.Options{Config: c, Embed: embedder, Parts: []process.Part{svc.part("things")}})

	for path, want := range map[string]int{"/v1/things": 204, "/v1/nothing": 404} {
		if status, body := get(t, p.HTTP+path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, state := readiness(t, p.Admin); status != 200 || !state.Ready || len(state.Parts) != 5 {
		t.Errorf("readyz: %d %+v", status, state)
	}
	if _, metrics := get(t, p.Admin+"/metrics"); !strings.Contains(metrics, "belfry_build_info") {
		t.Error("no metrics")
	}
	// What a service is given works.
	e := svc.env
	if log, err := topology.EventsState(t.Context(), e.Bus.NC); err != nil || log.Epoch == "" {
		t.Errorf("the log: %+v %v", log, err)
	}
	tokens, err := c.Tokens()
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Sign(auth.Claims{Subject: "anna", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := e.Verifier.Verify(t.Context(), token); err != nil || who.Subject != "anna" {
		t.Errorf("a token signed with the secret of the data directory: %v %v", who, err)
	}
	if e.Log == nil || e.Registry == nil || e.Tracer == nil || e.Name != "things" || e.MaxEventBytes != topology.DefaultMaxEventBytes {
		t.Errorf("env: %+v", e)
	}
	svc.broken = fault.New(fault.FeedLost, "the live feed broke")
	if status, state := readiness(t, p.Admin); status != 503 || codeOf(state, "things") != fault.FeedLost {
		t.Errorf("a service that is not well: %d %+v", status, state)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// Before all parts are ready callers hear "starting", after the stop has begun
// "draining", and the services stop before HTTP does.
func TestGateWhileStartingAndStopping(t *testing.T) {
	t.Parallel()
	slow := &service{open: make(chan struct{})}
	fast := &service{}
	c := config(t)
	c.HTTP = bustest.FreeAddrs(t, 1)[0] // an address we know before it is ready
	hears := func() (code string) {
		_, body := get(t, "http://"+c.HTTP+"/v1/fast")
		return body
	}
	var once sync.Once
	fast.leave = func() {
		once.Do(func() {
			if body := hears(); !strings.Contains(body, `"code":"draining"`) {
				t.Errorf("while stopping: %s", body)
			}
		})
	}
	slowPart := slow.part("slow")
	inner := slowPart.New
	slowPart.New = func(e process.Env) (run.Service, error) {
		if body := hears(); !strings.Contains(body, `"code":"starting"`) {
			t.Errorf("while starting: %s", body)
		}
		close(slow.open)
		return inner(e)
	}
	p := start(t, process.Options{Config: c, Embed: embedder, Parts: []process.Part{fast.part("fast"), slowPart}})
	if body := hears(); body != "" {
		t.Errorf("when ready: %s", body)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// A service on its own waits for a NATS server that is not up yet, and says so.
func TestWaitsForNATS(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()

	c := config(t)
	c.NATS.URL, c.NATS.User, c.NATS.Password = fmt.Sprintf("nats://127.0.0.1:%d", port), embed.ServiceUser, strings.Repeat("p", 20)
	waiting := make(chan struct{})
	var once sync.Once
	log := slog.New(hook{func(r slog.Record) {
		if r.Message == "not ready, trying again" {
			once.Do(func() { close(waiting) })
		}
	}})
	served := make(chan error, 1)
	go func() {
		<-waiting
		s, err := embed.Start(context.WithoutCancel(t.Context()), embed.Options{DataDir: t.TempDir(), Port: port, ServicePassword: c.NATS.Password})
		served <- err
		if err == nil {
			t.Cleanup(func() { _ = s.Stop(context.Background()) })
		}
	}()
	p := start(t, process.Options{Config: c, Log: log, Parts: []process.Part{(&service{}).part("things")}})
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if p.NATS != c.NATS.URL {
		t.Errorf("says NATS is at %q", p.NATS)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// hook is a log that only tells what is logged.
type hook struct{ tell func(slog.Record) }

func (h hook) Enabled(context.Context, slog.Level) bool { return true }
func (h hook) Handle(_ context.Context, r slog.Record) error {
	h.tell(r)
	return nil
}
func (h hook) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h hook) WithGroup(string) slog.Handler      { return h }

// Stopping while it still waits for NATS is an ordinary stop.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.NATS.URL = "nats://127.0.0.1:1"
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(hook{func(r slog.Record) {
		if r.Message == "not ready, trying again" {
			cancel()
		}
	}})
	p, err := process.New(process.Options{Name: "test", Config: c, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Ready():
		t.Error("ready")
	default:
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // not defer: the rows run in parallel, after this function
	inUse := config(t)
	start(t, process.Options{Config: inUse, Embed: embedder})
	for name, c := range map[string]struct {
		change func(*process.Config)
		code   fault.Code
		part   string
	}{
		"http port in use":      {func(c *process.Config) { c.HTTP = taken.Addr().String() }, fault.PortInUse, "http: "},
		"admin port in use":     {func(c *process.Config) { c.Admin = taken.Addr().String() }, fault.PortInUse, "admin: "},
		"data directory in use": {func(c *process.Config) { c.DataDir = inUse.DataDir }, fault.DataDirInUse, "nats: "},
		"data directory a file": {func(c *process.Config) { c.DataDir = "/dev/null/x" }, fault.DataDirUnwritable, "auth: "},
		"a short secret":        {func(c *process.Config) { c.Auth.Secret = "short" }, fault.InvalidConfig, "auth: "},
		"a key that is none":    {func(c *process.Config) { c.Auth.Keys = []string{"/dev/null"} }, fault.InvalidConfig, "auth: auth.keys: "},
		"no file of keys":       {func(c *process.Config) { c.Auth.HMACKeysFile = "/no/such" }, fault.InvalidConfig, "auth: auth.hmac_keys_file: "},
		"keys in the clear":     {func(c *process.Config) { c.Auth.JWKSURL = "http://idp.example/" }, fault.InvalidConfig, "auth: auth.jwks_url: "},
		"no certificate":        {func(c *process.Config) { c.HTTPTLSCert, c.HTTPTLSKey = "/no/such", "/no/such" }, fault.InvalidConfig, "http: "},
		"half a certificate":    {func(c *process.Config) { c.AdminTLSCert = "/no/such" }, fault.InvalidConfig, "admin: "},
		"no password file":      {func(c *process.Config) { c.NATS.URL, c.NATS.PasswordFile = "nats://127.0.0.1:1", "/no/such" }, fault.InvalidConfig, "bus: "},
		"a bad collector":       {func(c *process.Config) { c.TraceEndpoint = "nowhere" }, fault.InvalidConfig, "tracing: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := config(t)
			c.change(&conf)
			p, err := process.New(process.Options{Name: "test", Config: conf, Embed: embedder, Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				err = p.Run(ctx)
			}
			if err == nil || fault.CodeOf(err) != c.code || !strings.HasPrefix(err.Error(), c.part) {
				t.Errorf("%v (%s), want %s of %q", err, fault.CodeOf(err), c.code, c.part)
			}
		})
	}
	if _, err := process.New(process.Options{Name: "gateway", Config: process.Default(), Log: slog.New(slog.DiscardHandler)}); fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("no server and nowhere to connect: %v", err)
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c := process.Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("/home/anna/.local/share/belfry", c.DataDir); diff != "" {
		t.Error(diff)
	}
	for _, addr := range []string{c.HTTP, c.Admin, c.NATS.Addr} {
		if !strings.HasPrefix(addr, "127.0.0.1:") {
			t.Errorf("%s is not the loopback", addr)
		}
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*process.Config){
		"http.addr":          func(c *process.Config) { c.HTTP = "" },
		"nats.sync":          func(c *process.Config) { c.NATS.Sync = "5m" },
		"nats.replicas":      func(c *process.Config) { c.NATS.URL, c.NATS.Replicas = "nats://x", 2 },
		"data_dir":           func(c *process.Config) { c.DataDir = "" },
		"nats.password_file": func(c *process.Config) { c.NATS.Password, c.NATS.PasswordFile = "x", "y" },
		"auth.secret_file":   func(c *process.Config) { c.Auth.Secret, c.Auth.SecretFile = "x", "y" },
		"auth.max_life":      func(c *process.Config) { c.Auth.MaxLife = time.Second },
		"auth.jwks_refresh":  func(c *process.Config) { c.Auth.JWKSRefresh = time.Second },
		"auth.hmac_window":   func(c *process.Config) { c.Auth.HMACWindow = 2 * time.Hour },
		"auth.skew":          func(c *process.Config) { c.Auth.Skew = -1 },
		"events.max_age":     func(c *process.Config) { c.Events.MaxAge = time.Second },
		"events.max_bytes":   func(c *process.Config) { c.Events.MaxBytes = 64 << 20 },
	} {
		c := process.Default()
		change(&c)
		e := fault.From(c.Validate())
		if e == nil || e.Code() != fault.InvalidConfig || e.Details()["field"] != key {
			t.Errorf("%s: %v", key, e)
		}
	}
	alone := process.Default()
	alone.NATS.Replicas = 3
	if err := alone.Validate(); fault.CodeOf(err) != fault.InvalidConfig {
		t.Error("three replicas on one embedded server")
	}
}
