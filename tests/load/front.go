package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Servers of windows: ours, and the two it is compared with.
const (
	kindOurs     = "ours"
	kindPrepared = "prepared"
	kindRaw      = "raw"
)

var kinds = []string{kindOurs, kindPrepared, kindRaw}

// tokenSecret signs the windows' tokens; of nobody, for minutes.
const tokenSecret = "load-load-load-load-load-load-load-load"

// front is a NATS server as one process, and a server of windows as another.
type front struct {
	nats   *cluster
	server *program
	kind   string
	admin  string // host:port of ours
	tokens *auth.HS256

	open func(ctx context.Context, addr, token, topic string) (*window, error) // nil = openWindow
}

// inEachKind measures each kind of server in turn, as many rounds as planned, on
// NATS servers and logs of their own.
func inEachKind(ctx context.Context, p plan, one func(context.Context, plan, *front) (run, error)) (map[string][]run, error) {
	all := map[string][]run{}
	for range p.rounds {
		for _, kind := range kinds {
			r, err := inOne(ctx, p, kind, one)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			all[kind] = append(all[kind], r)
		}
	}
	return all, nil
}

func inOne(ctx context.Context, p plan, kind string, one func(context.Context, plan, *front) (run, error)) (r run, err error) {
	c, err := startCluster(ctx, p, 1, topology.Platform)
	if err != nil {
		return run{}, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	f := &front{nats: c, kind: kind}
	if f.tokens, err = auth.NewHS256(auth.HS256Options{Secrets: [][]byte{[]byte(tokenSecret)}}); err != nil {
		return run{}, err
	}
	if err := f.start(ctx, p); err != nil {
		return run{}, err
	}
	defer func() { _, _ = f.server.stop() }() // measured elsewhere
	return one(ctx, p, f)
}

// start runs the server of windows; a second time, where it was.
func (f *front) start(ctx context.Context, p plan) (err error) {
	if f.kind != kindOurs {
		f.server, err = startSelf(ctx, "-serve", f.kind, "-nats", f.nats.url)
		return err
	}
	var addr string
	if f.server != nil {
		addr = f.server.http
	} else if addr, f.admin, _, err = freeAddrs(); err != nil {
		return err
	}
	f.server = &program{http: addr, drained: make(chan struct{})}
	_, host, _ := strings.Cut(f.nats.url, "@")
	f.server.cmd = exec.CommandContext(ctx, p.gateway, "--nats-url", "nats://"+host, "--nats-user", "service", "--nats-password-file", f.nats.file,
		"--data-dir", f.nats.dir, "--http", addr, "--admin", f.admin, "--log-level", "error", "--set", "gateway.drain_window=0s")
	f.server.cmd.Env = append(os.Environ(), "BELFRY_AUTH_SECRET="+tokenSecret)
	return f.server.start(f.admin)
}

// cpu is what the server of windows and NATS have used.
func (f *front) cpu() time.Duration {
	sum := f.server.cpu()
	for _, n := range f.nats.nodes {
		sum += n.cpu()
	}
	return sum
}

// token is one of a user, for hours.
func (f *front) token(user string) (string, error) {
	return f.tokens.Sign(auth.Claims{Subject: user, Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour})
}

// rss is how much memory the server of windows has, from Linux.
func (r *program) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
