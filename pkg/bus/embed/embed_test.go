package embed_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

func start(t *testing.T, o embed.Options) *embed.Server {
	t.Helper()
	s, err := embed.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *embed.Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil { // the test's own is over in clean-up
		t.Error(err)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	t.Parallel()
	o := embed.Options{DataDir: t.TempDir(), Port: -1}
	first := start(t, o)
	if _, err := embed.Start(t.Context(), o); fault.CodeOf(err) != fault.DataDirInUse {
		t.Fatal(err)
	}
	stop(t, first)
	second := start(t, o)
	if second.ServicePassword() != first.ServicePassword() {
		t.Fatal("the password was made anew")
	}
	stop(t, second)
	stop(t, second) // twice is once
}

// The tests run as root too, whom modes do not stop.
func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/belfry"} {
		if _, err := embed.Start(t.Context(), embed.Options{DataDir: dir, Port: -1}); fault.CodeOf(err) != fault.DataDirUnwritable {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	for name, o := range map[string]embed.Options{
		"clients": {DataDir: dir, Port: taken},
		"routes":  {DataDir: dir, Port: -1, ServerName: "a", ServicePassword: "x", Cluster: embed.Cluster{Name: "c", Port: taken}},
	} {
		if _, err := embed.Start(t.Context(), o); fault.CodeOf(err) != fault.PortInUse {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Found out before JetStream touched the store, and the lock is free again.
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); !os.IsNotExist(err) {
		t.Error(err)
	}
	start(t, embed.Options{DataDir: dir, Port: -1})
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, o := range map[string]embed.Options{
		"no directory":  {},
		"half of TLS":   {DataDir: dir, TLS: certs.Files{Cert: "x"}},
		"no such files": {DataDir: dir, Port: -1, TLS: certs.Files{Cert: "/none", Key: "/none"}},
		"size":          {DataDir: dir, MaxEventBytes: 1 << 30},
		"lame duck":     {DataDir: dir, LameDuck: -1},
		"no name":       {DataDir: dir, ServicePassword: "x", Cluster: embed.Cluster{Name: "c"}},
		"no password":   {DataDir: dir, ServerName: "a", Cluster: embed.Cluster{Name: "c"}},
		"password":      {DataDir: dir, ServicePassword: "two words"},
		"route":         {DataDir: dir, Port: -1, ServerName: "a", ServicePassword: "x", Cluster: embed.Cluster{Name: "c", Port: -1, Routes: []string{"host"}}},
		"host":          {DataDir: dir, Host: "203.0.113.1", Port: 4222},
	} {
		if _, err := embed.Start(t.Context(), o); fault.CodeOf(err) != fault.InvalidConfig {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServicePassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embed.Options{DataDir: dir, Port: -1})
	info, err := os.Stat(filepath.Join(dir, embed.PasswordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	for password, code := range map[string]fault.Code{s.ServicePassword(): "", "wrong-secret": fault.InvalidConfig, "": fault.InvalidConfig} {
		b, err := bus.Connect(t.Context(), bus.Options{Config: bus.Config{URL: s.ClientURL(), User: embed.ServiceUser, Password: password}})
		if fault.CodeOf(err) != code || err != nil && strings.Contains(err.Error(), "secret") {
			t.Fatalf("%q: %v", password, err)
		}
		if err == nil {
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Events of the largest size are stored; a larger one is refused, and the
// publisher keeps its connection.
func TestLargestEvent(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := bustest.Connect(t, s.URL())
	for size, stored := range map[int]bool{topology.DefaultMaxEventBytes: true, topology.DefaultMaxEventBytes + topology.HeaderRoom + 1: false} {
		m, err := c.Request("evt.AA.a.b", make([]byte, size), timeout)
		if err != nil || strings.Contains(string(m.Data), `"error"`) == stored || strings.Contains(string(m.Data), "10054") == stored {
			t.Errorf("%d bytes: %s, %v", size, m.Data, err)
		}
	}
}

// What a gateway sees when a publisher sends headers of the server's names
// itself: the server's values come last.
func TestServersHeadersComeLast(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	live, err := s.Bus().NC.SubscribeSync("live.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bus().NC.Flush(); err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("evt.AA.a.b")
	for _, k := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence"} {
		m.Header.Set(k, "forged")
	}
	if _, err := bustest.Connect(t, s.URL()).RequestMsg(m, timeout); err != nil {
		t.Fatal(err)
	}
	got, err := live.NextMsg(timeout)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"Nats-Stream": topology.Events, "Nats-Subject": "evt.AA.a.b", "Nats-Sequence": "1", "Nats-Last-Sequence": "0"} {
		if v := got.Header[k]; len(v) != 2 || v[0] != "forged" || v[1] != want {
			t.Errorf("%s: %v", k, v)
		}
	}
}
