package bustest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

const clusterPassword = "bustest-cluster-password"

// Nodes are a cluster of real servers in this process.
type Nodes struct {
	t       testing.TB
	set     settings
	options []embed.Options
	nodes   []*embed.Server // nil while killed
	service *bus.Bus
}

// Cluster runs n servers on the loopback until the test ends, with the
// platform's topology at n replicas.
func Cluster(t testing.TB, n int, options ...Option) *Nodes {
	t.Helper()
	c := &Nodes{t: t, nodes: make([]*embed.Server, n), set: settings{
		embed:    embed.Options{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)},
		topology: topology.Options{Replicas: n},
	}}
	for _, o := range options {
		o(&c.set)
	}
	t.Cleanup(func() {
		closeBus(t, c.service)
		for _, node := range c.nodes {
			stopNode(t, node)
		}
	})
	clients, routes := freePorts(t, n), freePorts(t, n)
	for i := range n {
		o := c.set.embed
		o.DataDir = filepath.Join(c.set.embed.DataDir, fmt.Sprintf("node-%d", i))
		o.ServerName, o.ServicePassword = fmt.Sprintf("node-%d", i), clusterPassword
		o.Port = clients[i]
		o.Cluster = embed.Cluster{Name: "bustest", Port: routes[i]}
		for _, p := range routes {
			o.Cluster.Routes = append(o.Cluster.Routes, fmt.Sprintf("127.0.0.1:%d", p))
		}
		c.options = append(c.options, o)
		c.nodes[i] = startNode(t, o)
	}
	c.service = c.set.connect(t, bus.Options{
		Config: bus.Config{URL: c.URL(), User: embed.ServiceUser, Password: clusterPassword},
	})
	c.set.ensure(t, c.service)
	return c
}

// KillNode stops node i and keeps its store.
func (c *Nodes) KillNode(i int) {
	c.t.Helper()
	stopNode(c.t, c.nodes[i])
	c.nodes[i] = nil
}

// StartNode starts node i again, with its store and its ports.
func (c *Nodes) StartNode(i int) {
	c.t.Helper()
	c.nodes[i] = startNode(c.t, c.options[i])
}

// Restart stops all nodes and starts them again, and waits until EVENTS answers
// the service connection.
func (c *Nodes) Restart() {
	c.t.Helper()
	for i := range c.nodes {
		c.KillNode(i)
	}
	for i := range c.nodes {
		c.StartNode(i)
	}
	c.AwaitLeader(topology.Events)
	Eventually(c.t, readyTimeout, "the service connection is back", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		_, err := topology.EventsState(ctx, c.service.NC)
		return err == nil
	})
}

// AwaitLeader waits until a stream answers.
func (c *Nodes) AwaitLeader(stream string) {
	c.t.Helper()
	Eventually(c.t, readyTimeout, stream+" has a leader", func() bool { return c.Leader(stream) >= 0 })
}

// Leader is the number of the node that leads a stream, -1 if none does.
func (c *Nodes) Leader(stream string) int {
	c.t.Helper()
	for i, n := range c.nodes {
		if n != nil && n.InProcess().JetStreamIsStreamLeader(embed.Account, stream) {
			return i
		}
	}
	return -1
}

// NodeURL is where clients of node i connect.
func (c *Nodes) NodeURL(i int) string { return fmt.Sprintf("nats://127.0.0.1:%d", c.options[i].Port) }

// URL lists all nodes; without credentials clients are the user app.
func (c *Nodes) URL() string {
	urls := make([]string, len(c.options))
	for i := range urls {
		urls[i] = c.NodeURL(i)
	}
	return strings.Join(urls, ",")
}

// ServiceURL is URL with the credentials of the service user.
func (c *Nodes) ServiceURL() string {
	urls := strings.Split(c.URL(), ",")
	for i, u := range urls {
		urls[i] = withUser(u, clusterPassword)
	}
	return strings.Join(urls, ",")
}

// Bus is a service connection that knows all nodes, closed when the test ends.
func (c *Nodes) Bus() *bus.Bus { return c.service }

// Connect is a client connection, closed when the test ends.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, append(options, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}
