package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

// cluster is NATS servers as processes, one or several, and a connection.
type cluster struct {
	nodes []*program
	bus   *bus.Bus
	dir   string
	url   string // with all rights
	file  string // holds the password
}

// password is that of the user service, on the loopback and for minutes.
const password = "load-service-password"

// startCluster runs n nodes of bin/belfry nats on free ports and empty stores, and
// makes the streams and buckets of spec.
func startCluster(ctx context.Context, p plan, n int, spec func(topology.Options) topology.Spec) (c *cluster, err error) {
	c = &cluster{}
	defer func() {
		if err != nil {
			_ = c.stop(ctx) // it has not even begun
		}
	}()
	if c.dir, err = os.MkdirTemp("", "belfry-load-"); err != nil {
		return c, err
	}
	file := filepath.Join(c.dir, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return c, err
	}
	var clients, routes []string
	for range n {
		client, route, _, err := freeAddrs()
		if err != nil {
			return c, err
		}
		clients, routes = append(clients, client), append(routes, route)
	}
	for i := range n {
		name := fmt.Sprintf("node-%d", i)
		args := []string{
			"nats", "--name", name, "--nats", clients[i], "--admin", "", "--log-level", "error",
			"--nats-password-file", file, "--data-dir", filepath.Join(c.dir, name),
		}
		if n > 1 {
			args = append(args, "--cluster-name", "load", "--cluster-listen", routes[i], "--routes", strings.Join(routes, ","))
		}
		run := &program{drained: make(chan struct{})}
		close(run.drained)
		run.cmd = exec.CommandContext(ctx, p.belfry, args...)
		run.cmd.Stderr = os.Stderr
		if err := run.cmd.Start(); err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, run)
	}
	c.file, c.url = file, "nats://"+embed.ServiceUser+":"+password+"@"+clients[0]
	for until := time.Now().Add(time.Minute); ; {
		c.bus, err = bus.Connect(ctx, bus.Options{Config: bus.Config{URL: "nats://" + strings.Join(clients, ",nats://"), User: embed.ServiceUser, Password: password}})
		if err == nil {
			break
		}
		if time.Now().After(until) {
			return c, err
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // polling another process
	}
	o := topology.Options{Replicas: n}
	_, err = topology.Ensure(ctx, c.bus.JS, spec(o), o)
	return c, err
}

func (c *cluster) stop(ctx context.Context) error {
	var all []error
	if c.bus != nil {
		all = append(all, c.bus.Close(ctx))
	}
	for _, n := range c.nodes {
		_, err := n.stop()
		all = append(all, err)
	}
	return errors.Join(append(all, os.RemoveAll(c.dir))...)
}
