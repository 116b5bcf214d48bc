package certs_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/certs/certstest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// echo serves until the test ends, and gives its address.
func echo(t *testing.T, c *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // a client that is refused is the test's matter
			}()
		}
	}()
	return l.Addr().String()
}

// dial connects, and proves that the server took it: a refused client
// certificate shows only then.
func dial(t *testing.T, addr string, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	return conn, say(conn)
}

func say(conn net.Conn) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func serial(c *tls.Conn) string { return c.ConnectionState().PeerCertificates[0].SerialNumber.String() }

func TestReload(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair := ca.Issue("a")
	var out bytes.Buffer
	config, err := certs.FilesOf("http.tls", pair.Cert, pair.Key, "").Server(slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	addr := echo(t, config)
	first, err := dial(t, addr, ca.Client())
	if err != nil {
		t.Fatal(err)
	}
	renewed := ca.Renew(pair, "a")
	second, err := dial(t, addr, ca.Client())
	if err != nil || serial(second) != renewed.String() {
		t.Fatalf("after renewal: %v, serial %s, want %s", err, serial(second), renewed)
	}
	if err := say(first); err != nil {
		t.Errorf("the open connection: %v", err)
	}

	// Half of a renewal: the last good pair stays in use, and it is said once.
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	last := ca.Renew(pair, "a")
	newKey, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pair.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		third, err := dial(t, addr, ca.Client())
		if err != nil || serial(third) != renewed.String() {
			t.Fatalf("half renewed: %v", err)
		}
	}
	if n := strings.Count(out.String(), "cannot be reloaded"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &out)
	}
	if err := os.WriteFile(pair.Key, newKey, 0o600); err != nil {
		t.Fatal(err)
	}
	fourth, err := dial(t, addr, ca.Client())
	if err != nil || serial(fourth) != last.String() {
		t.Errorf("renewed at last: %v", err)
	}
	if strings.Contains(out.String(), "PRIVATE") {
		t.Error("the log shows a key")
	}
}

func TestClientsAreAsked(t *testing.T) {
	t.Parallel()
	ca, others := certstest.New(t), certstest.New(t)
	pair, mine, theirs := ca.Issue("a"), ca.Issue("client"), others.Issue("client")
	trusted := filepath.Join(t.TempDir(), "trusted.pem")
	trust := func(a *certstest.Authority) {
		b, err := os.ReadFile(a.File)
		if err == nil {
			err = os.WriteFile(trusted, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trust(ca)
	config, err := certs.FilesOf("http.tls", pair.Cert, pair.Key, trusted).Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := echo(t, config)
	for name, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"no certificate":       {ca.Client(), false},
		"of another authority": {ca.Client(theirs), false},
		"ours":                 {ca.Client(mine), true},
	} {
		if _, err := dial(t, addr, c.config); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := ca.Client(mine)
	old.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if _, err := dial(t, addr, old); err != nil {
		t.Fatal(err)
	}
	trust(others) // and no longer the first
	if _, err := dial(t, addr, old); err == nil {
		t.Error("a client whose authority is gone came back")
	}
	if _, err := dial(t, addr, ca.Client(theirs)); err != nil {
		t.Errorf("the new authority: %v", err)
	}
}

func TestOldProtocolsAreRefused(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair := ca.Issue("a")
	config, err := certs.FilesOf("http.tls", pair.Cert, pair.Key, "").Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	old := ca.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := dial(t, echo(t, config), old); err == nil {
		t.Error("TLS 1.1 was taken")
	}
}

func TestPeersShowAndCheck(t *testing.T) {
	t.Parallel()
	ca, others := certstest.New(t), certstest.New(t)
	peer := func(a *certstest.Authority) *tls.Config {
		pair := a.Issue("node")
		c, err := certs.Files{Cert: pair.Cert, Key: pair.Key, CA: a.File}.Peer(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	addr := echo(t, peer(ca))
	if _, err := dial(t, addr, peer(ca)); err != nil {
		t.Error(err)
	}
	if _, err := dial(t, addr, peer(others)); err == nil {
		t.Error("a node of another authority was taken")
	}
}

// Every file that cannot be used is named by its setting.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	a, b := ca.Issue("a"), ca.Issue("b")
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cert, key, ca string
		field         string
	}{
		"no key":          {a.Cert, "", "", "http.tls_key"},
		"no certificate":  {"", a.Key, "", "http.tls_cert"},
		"only clients":    {"", "", ca.File, "http.tls_cert"},
		"missing":         {"/no/such", a.Key, "", "http.tls_cert"},
		"missing key":     {a.Cert, "/no/such", "", "http.tls_key"},
		"missing ca":      {a.Cert, a.Key, "/no/such", "http.tls_client_ca"},
		"garbage":         {garbage, a.Key, "", "http.tls_cert"},
		"garbage key":     {a.Cert, garbage, "", "http.tls_key"},
		"garbage ca":      {a.Cert, a.Key, garbage, "http.tls_client_ca"},
		"another's key":   {a.Cert, b.Key, "", "http.tls_cert"},
		"key for a chain": {a.Key, a.Key, "", "http.tls_cert"},
	} {
		_, err := certs.FilesOf("http.tls", c.cert, c.key, c.ca).Server(nil)
		e := (*fault.Error)(nil)
		if !errors.As(err, &e) || e.Code() != fault.InvalidConfig || e.Details()["field"] != c.field || !strings.HasPrefix(e.Error(), c.field+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := certs.FilesOf("http.tls", "", "", "").Server(nil); c != nil || err != nil {
		t.Errorf("no files: %v, %v", c, err)
	}
	if _, err := (certs.Files{Cert: a.Cert, Key: a.Key, CAKey: "cluster.tls_ca"}).Peer(nil); err == nil || !strings.HasPrefix(err.Error(), "cluster.tls_ca: ") {
		t.Errorf("peers that do not check: %v", err)
	}
}
