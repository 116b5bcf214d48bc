package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// world is a running platform as its clients see it.
type world struct {
	t       *testing.T
	dataDir string   // holds the secret of the tokens
	nats    string   // URL for clients without credentials
	rights  string   // the same URL with all rights; separate processes only
	operate []string // arguments by which an operator's command finds the platform
	fronts  []*front
	traces  *traces // where the programs send their spans

	alone func(service string) *front // starts a service alone; nil where all are one process
	aside map[string]*front           // services that run alone

	mu   sync.Mutex
	next int // front that the balancer tries first
	http *http.Client
}

// front is one process that serves HTTP.
type front struct {
	*program
	addr  string
	start func() *program
}

// host is what clients call the platform, and <service>.belfry.test a service of
// it; the balancer knows where that is.
const host = "belfry.test"

// inEachWorld runs a scenario on both shapes of the platform.
func inEachWorld(t *testing.T, scenario func(t *testing.T, w *world)) {
	t.Helper()
	for name, make := range map[string]func(*testing.T) *world{
		"one process": oneProcess, "separate processes": separateProcesses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := make(t)
			w.t = t
			w.connect(t)
			scenario(t, w)
		})
	}
}

// connect makes the balancer's client.
func (w *world) connect(t *testing.T) {
	t.Helper()
	transport := &http.Transport{DialContext: w.dial}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport}
}

// oneProcess is what `make run` starts.
func oneProcess(t *testing.T) *world {
	t.Helper()
	at := bustest.FreeAddrs(t, 3)
	w := &world{dataDir: t.TempDir(), nats: "nats://" + at[2], traces: newTraces(t)}
	w.operate = []string{"--nats", at[2], "--data-dir", w.dataDir}
	w.fronts = []*front{w.run(t, "belfry", at[0], at[1], "run", "--nats", at[2], "--data-dir", w.dataDir)}
	return w
}

// separateProcesses is the shape of a cluster.
func separateProcesses(t *testing.T) *world {
	t.Helper()
	c := bustest.Cluster(t, 3)
	w := &world{dataDir: t.TempDir(), nats: c.URL(), rights: c.ServiceURL(), traces: newTraces(t)}
	service, err := url.Parse(strings.Split(c.ServiceURL(), ",")[0])
	if err != nil {
		t.Fatal(err)
	}
	password, _ := service.User.Password()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	w.operate = []string{"--nats-url", c.URL(), "--nats-user", service.User.Username(), "--nats-password-file", file}
	// All sign and verify with the secret of one data directory.
	run := func(name string) *front {
		at := bustest.FreeAddrs(t, 2)
		return w.run(t, name, at[0], at[1], "--nats-url", c.URL(), "--nats-user", service.User.Username(),
			"--nats-password-file", file, "--replicas", "3", "--data-dir", w.dataDir)
	}
	w.fronts = []*front{run("gateway"), run("gateway")}
	w.alone, w.aside = run, map[string]*front{}
	return w
}

// need starts services that the scenario is about, where they run alone.
func (w *world) need(services ...string) {
	w.t.Helper()
	for _, s := range services {
		if w.alone != nil {
			w.aside[s] = w.alone(s)
		}
	}
}

func (w *world) run(t *testing.T, name, addr, admin string, args ...string) *front {
	t.Helper()
	args = append(args, "--http", addr, "--admin", admin, "--log-level", "debug", "--log-format", "json", "--set", "trace.endpoint="+w.traces.URL)
	f := &front{addr: addr, start: func() *program { return start(t, name, admin, args...) }}
	f.program = f.start()
	return f
}

// dial is the balancer: the service that runs alone, else the next front that
// answers.
func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	service, _, _ := strings.Cut(addr, ".")
	if f := w.aside[service]; f != nil {
		return new(net.Dialer).DialContext(ctx, "tcp", f.addr)
	}
	w.mu.Lock()
	first := w.next
	w.next++
	w.mu.Unlock()
	err := errors.New("no front")
	for i := range w.fronts {
		var conn net.Conn
		if conn, err = new(net.Dialer).DialContext(ctx, "tcp", w.fronts[(first+i)%len(w.fronts)].addr); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// url is an address of the platform: scheme http or ws.
func (w *world) url(scheme, path string) string { return scheme + "://" + host + path }

// service is an address of one service.
func (w *world) service(name, path string) string { return "http://" + name + "." + host + path }

// end ends a front: SIGKILL is kill -9, SIGTERM asks it to drain.
func (w *world) end(i int, s syscall.Signal) {
	w.t.Helper()
	w.fronts[i].end(w.t, s)
	if code := w.fronts[i].cmd.ProcessState.ExitCode(); s == syscall.SIGTERM && code != 0 {
		w.t.Errorf("exit code %d after SIGTERM:\n%s", code, w.fronts[i].out)
	}
}

// revive starts a front again, where it was.
func (w *world) revive(i int) {
	w.t.Helper()
	w.fronts[i].program = w.fronts[i].start()
}

// token makes one with the command line, as an operator would. Without further
// arguments it may do everything in tenant AA.
func (w *world) token(args ...string) string {
	w.t.Helper()
	args = append([]string{"token", "--user", "anna", "--data-dir", w.dataDir, "--tenant", "AA"}, args...)
	out, code := command(w.t, "belfry", args...)
	if code != 0 {
		w.t.Fatalf("belfry token: %s", out)
	}
	return strings.TrimSpace(out)
}

// patience is for one step of a scenario, on a machine where much else runs; nothing
// waits for it to pass.
const patience = 2 * time.Minute

// soon is a context for one step.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	return ctx
}
