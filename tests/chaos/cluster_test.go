package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

const (
	nodes    = 3
	patience = 3 * time.Minute // for anything to be well again, also on a busy machine

	password = "chaos-service-password" // of the user service, on the loopback and for minutes
)

// cluster is three NATS servers as processes, and a connection that looks at them.
type cluster struct {
	t     *testing.T
	dir   string
	url   string
	file  string // holds the password
	bus   *bus.Bus
	nodes map[string]*process
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), nodes: map[string]*process{}}
	c.file = filepath.Join(c.dir, "password")
	if err := os.WriteFile(c.file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	addrs := bustest.FreeAddrs(t, 2*nodes)
	clients, routes := addrs[:nodes], addrs[nodes:]
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		c.nodes[name] = newProcess(t, name, c.dir, func() *exec.Cmd {
			return c.command(belfry, nil, "nats", "--name", name, "--nats", clients[i], "--admin", "",
				"--cluster-name", "chaos", "--cluster-listen", routes[i], "--routes", strings.Join(routes, ","),
				"--nats-password-file", c.file, "--data-dir", filepath.Join(c.dir, name), "--log-level", "warn")
		}, func(string) {})
	}
	c.url = "nats://" + strings.Join(clients, ",nats://")
	var err error
	if c.bus, err = connect(t.Context(), c.url, password, "test", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.bus.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

// command is a program without our settings in its environment.
func (c *cluster) command(program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) // ended by the clean-up, in its order
	cmd.Env = append([]string{"HOME=" + c.t.TempDir()}, env...)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "BELFRY_") && name != "HOME" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// leader is the node that leads a stream.
func (c *cluster) leader(stream string) (p *process) {
	c.t.Helper()
	c.eventually(stream+" has a leader", func(ctx context.Context) bool {
		s, err := c.bus.JS.Stream(ctx, stream)
		if err == nil {
			p = c.nodes[s.CachedInfo().Cluster.Leader]
		}
		return p != nil
	})
	return p
}

// whole waits until streams have all their replicas again: a cluster of three is
// promised to bear the loss of one node, not of a second meanwhile.
func (c *cluster) whole(streams ...string) {
	c.t.Helper()
	for _, name := range streams {
		c.eventually(name+" has its replicas", func(ctx context.Context) bool {
			s, err := c.bus.JS.Stream(ctx, name)
			if err != nil {
				return false
			}
			in := s.CachedInfo().Cluster
			for _, r := range in.Replicas {
				if !r.Current || r.Offline {
					return false
				}
			}
			return in.Leader != "" && len(in.Replicas) == nodes-1
		})
	}
}

// kill is kill -9 of a process, which starts again after a while with what it had stored.
func (c *cluster) kill(p *process, away time.Duration) string {
	c.t.Helper()
	p.kill()
	c.wait(away)
	p.start()
	return p.name
}

// freeze makes a zombie: it sleeps, and then goes on as if nothing had been.
func (c *cluster) freeze(p *process, asleep time.Duration) string {
	c.t.Helper()
	p.signal(syscall.SIGSTOP)
	c.wait(asleep)
	p.signal(syscall.SIGCONT)
	return fmt.Sprintf("%s for %s", p.name, asleep)
}

// wait lets the others go on.
func (c *cluster) wait(d time.Duration) {
	c.t.Helper()
	select {
	case <-time.After(d):
	case <-c.t.Context().Done():
		c.t.Fatal("test over")
	}
}

// eventually asks the cluster until it says yes.
func (c *cluster) eventually(what string, yes func(ctx context.Context) bool) {
	c.t.Helper()
	bustest.Eventually(c.t, patience, what, func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		return yes(ctx)
	})
}
