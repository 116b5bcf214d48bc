package process_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("XDG_DATA_HOME", "/home/anna/.local/share"); err != nil { // no test may touch the real one
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// embedder runs a server for the test, as services/belfry does.
func embedder(ctx context.Context, c process.Config, log *slog.Logger) (*process.Embedded, error) {
	host, _, err := net.SplitHostPort(c.NATS.Addr)
	if err != nil {
		return nil, err
	}
	s, err := embed.Start(ctx, embed.Options{DataDir: c.DataDir, Host: host, Port: -1, Log: log})
	if err != nil {
		return nil, err
	}
	return &process.Embedded{
		Bus: bus.Options{Config: bus.Config{User: embed.ServiceUser, Password: s.ServicePassword()}, InProcess: s.InProcess()},
		URL: s.ClientURL(), Check: s.Healthz, Stop: s.Stop,
	}, nil
}

func config(t *testing.T) process.Config {
	t.Helper()
	c := process.Default()
	c.HTTP, c.Admin, c.NATS.Addr, c.DataDir = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	return c
}

// started is a process that runs until the test ends.
type started struct {
	process.Addresses
	stop func() error
}

func start(t *testing.T, o process.Options) *started {
	t.Helper()
	s := &started{}
	ready := make(chan process.Addresses, 1)
	o.Name, o.OnReady = "test", func(a process.Addresses) { ready <- a }
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p, err := process.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once bool
	s.stop = func() error {
		if once {
			return nil
		}
		once = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = s.stop() })
	select {
	case s.Addresses = <-ready:
	case err := <-done:
		once = true
		t.Fatalf("did not start: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("not ready in time")
	}
	return s
}

// get asks on a connection of its own, so that none is left open.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// readiness reads /readyz.
func readiness(t *testing.T, admin string) (int, telemetry.State) {
	t.Helper()
	status, body := get(t, admin+"/readyz")
	var s telemetry.State
	if status != 0 {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatalf("%d %s: %v", status, body, err)
		}
	}
	return status, s
}

// codeOf is the code of the part in a state; "" if it is ready or not there.
func codeOf(s telemetry.State, part string) fault.Code {
	for _, p := range s.Parts {
		if p.Name == part {
			return p.Code
		}
	}
	return ""
}
