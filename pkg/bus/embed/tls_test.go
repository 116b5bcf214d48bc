package embed_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/certs/certstest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// A renewed certificate is shown to the next client; those connected stay, and
// so does the process's own connection, which needs none.
func TestClientsOverTLS(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair, mine := ca.Issue("nats"), ca.Issue("erp")
	s := start(t, embed.Options{DataDir: t.TempDir(), Port: -1, TLS: certs.FilesOf("nats.server_tls", pair.Cert, pair.Key, ca.File)})
	inside, err := bus.Connect(t.Context(), bus.Options{
		Config: bus.Config{User: embed.ServiceUser, Password: s.ServicePassword()}, InProcess: s.InProcess(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inside.NC.Close() })

	connect := func(config *tls.Config) (*nats.Conn, string, error) {
		serial := ""
		config.VerifyConnection = func(s tls.ConnectionState) error {
			serial = s.PeerCertificates[0].SerialNumber.String()
			return nil
		}
		c, err := nats.Connect(s.ClientURL(), nats.Secure(config), nats.NoReconnect())
		if err == nil {
			t.Cleanup(c.Close)
		}
		return c, serial, err
	}
	first, _, err := connect(ca.Client(mine))
	if err != nil {
		t.Fatal(err)
	}
	renewed := ca.Renew(pair, "nats").String()
	second, serial, err := connect(ca.Client(mine))
	if err != nil || serial != renewed {
		t.Fatalf("after the renewal: %v, certificate %s, want %s", err, serial, renewed)
	}
	for _, c := range []*nats.Conn{first, second, inside.NC} {
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := connect(ca.Client()); err == nil {
		t.Error("a client without a certificate was taken")
	}
	if c, err := nats.Connect(strings.Replace(s.ClientURL(), "tls://", "nats://", 1), nats.NoReconnect(), nats.SkipHostLookup()); err == nil {
		c.Close()
		t.Error("a client without TLS was taken")
	}
}

// Nodes check each other both ways; one of another authority stays alone, and
// the log says why.
func TestNodesOverTLS(t *testing.T) {
	t.Parallel()
	ca, others := certstest.New(t), certstest.New(t)
	var said lines
	node := func(name string, ca *certstest.Authority, pair certstest.Pair, routes ...string) (s *embed.Server, address string) {
		port := bustest.FreeAddrs(t, 1)[0]
		_, number, err := net.SplitHostPort(port)
		if err != nil {
			t.Fatal(err)
		}
		o := embed.Options{
			DataDir: t.TempDir(), Port: -1, ServerName: name, ServicePassword: "secret",
			Cluster: embed.Cluster{Name: "c", Routes: routes, TLS: certs.Files{Cert: pair.Cert, Key: pair.Key, CA: ca.File}},
			Log:     slog.New(slog.NewTextHandler(&said, nil)),
		}
		if o.Cluster.Port, err = strconv.Atoi(number); err != nil {
			t.Fatal(err)
		}
		return start(t, o), port
	}
	pair := ca.Issue("node")
	a, address := node("a", ca, pair, "127.0.0.1:1")
	ca.Renew(pair, "node") // a shows the new one from now on, as those that come
	b, _ := node("b", ca, pair, address)
	bustest.Eventually(t, patience, "a and b are one cluster", func() bool {
		return a.InProcess().NumRoutes() > 0 && b.InProcess().NumRoutes() > 0
	})
	stranger, _ := node("stranger", others, others.Issue("node"), address)
	bustest.Eventually(t, patience, "the stranger is refused", func() bool {
		return strings.Contains(said.String(), "TLS route handshake error")
	})
	if n := stranger.InProcess().NumRoutes(); n != 0 || a.InProcess().NumRemotes() != 1 {
		t.Errorf("a node of another authority has %d routes", n)
	}
}

// patience is for servers that look for each other once a second.
const patience = time.Minute

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestBadTLSNamesTheSetting(t *testing.T) {
	t.Parallel()
	pair := certstest.New(t).Issue("nats")
	for field, o := range map[string]embed.Options{
		"nats.server_tls_key": {TLS: certs.FilesOf("nats.server_tls", pair.Cert, "", "")},
		"cluster.tls_ca": {ServerName: "a", ServicePassword: "x", Cluster: embed.Cluster{Name: "c", Port: -1, TLS: certs.Files{
			Cert: pair.Cert, Key: pair.Key, CertKey: "cluster.tls_cert", CAKey: "cluster.tls_ca",
		}}},
	} {
		o.DataDir, o.Port = t.TempDir(), -1
		if _, err := embed.Start(t.Context(), o); fault.CodeOf(err) != fault.InvalidConfig || fault.From(err).Details()["field"] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
