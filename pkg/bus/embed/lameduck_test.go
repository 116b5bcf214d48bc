package embed_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
)

// A node that stops tells its clients, and they go to the others before it is gone.
func TestLameDuckSendsClientsAway(t *testing.T) {
	t.Parallel()
	routes := bustest.FreeAddrs(t, 2)
	var nodes []*embed.Server
	for i, name := range []string{"a", "b"} {
		host, port, err := net.SplitHostPort(routes[i])
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, start(t, embed.Options{
			DataDir: t.TempDir(), Port: -1, ServerName: name, ServicePassword: "x", LameDuck: 2 * time.Second,
			Cluster: embed.Cluster{Name: "c", Host: host, Port: number, Routes: routes},
		}))
	}
	told, moved := make(chan struct{}), make(chan string, 1)
	nc, err := nats.Connect(nodes[0].ClientURL()+","+nodes[1].ClientURL(), nats.DontRandomize(), nats.ReconnectWait(time.Millisecond),
		nats.LameDuckModeHandler(func(*nats.Conn) { close(told) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { moved <- nc.ConnectedServerName() }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- nodes[0].Stop(t.Context()) }()
	<-told
	if name := <-moved; name != "b" {
		t.Errorf("moved to %s", name)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
