package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/certs/certstest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TLS everywhere by settings alone: a command publishes over it, a browser reads
// over it, a probe shows the certificate that the admin address asks for, and
// what is refused is in the audit file.
func TestAllInOneOverTLS(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair := ca.Issue("belfry")
	at := bustest.FreeAddrs(t, 2)
	audit := filepath.Join(t.TempDir(), "audit.log")
	dir := t.TempDir()
	args := []string{"--admin", at[0], "--nats", at[1]}
	for _, setting := range []string{
		"http.tls_cert=" + pair.Cert, "http.tls_key=" + pair.Key,
		"admin.tls_cert=" + pair.Cert, "admin.tls_key=" + pair.Key, "admin.tls_client_ca=" + ca.File,
		"nats.server_tls_cert=" + pair.Cert, "nats.server_tls_key=" + pair.Key,
		"nats.tls_ca=" + ca.File, "audit.file=" + audit,
	} {
		args = append(args, "--set", setting)
	}
	_, m := spawn(t, `(?s)Open +(https://[^/]+)/#token=(\S+)\n`, append([]string{"run", "--data-dir", dir, "--http", "127.0.0.1:0"}, args...)...)
	web, token := m[1], m[2]

	if out, err := belfry(t, "", append([]string{"check"}, args...)...); err != nil || !strings.HasPrefix(out, "ready") {
		t.Errorf("check: %q, %v", out, err)
	}
	out, err := belfry(t, "", append([]string{"publish", "invoices.created", `{}`, "--tenant", "AA", "--id", "e1"}, args...)...)
	if err != nil || !strings.Contains(out, "e1") {
		t.Errorf("publish: %q, %v", out, err)
	}
	if _, err := belfry(t, "", "publish", "invoices.created", `{}`, "--tenant", "AA", "--nats", at[1]); err == nil {
		t.Error("a client that does not know our authority took the server for ours")
	}
	if _, err := belfry(t, "", "mailbox", "topics", "--url", web, "--token", token); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("a command that does not know our authority: %v", err)
	}
	transport := &http.Transport{TLSClientConfig: ca.Client(), DisableKeepAlives: true}
	for auth, status := range map[string]int{"Bearer " + token: 200, "Bearer hunter2": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s", resp.Status)
		}
	}
	if _, err := (&http.Client{Transport: transport}).Get("https://" + at[0] + "/metrics"); err == nil {
		t.Error("the admin address serves those who show no certificate")
	}
	b, err := os.ReadFile(audit)
	if err != nil || bytes.Count(b, []byte("\n")) != 1 || !bytes.Contains(b, []byte(`"outcome":"token_invalid"`)) || bytes.Contains(b, []byte("hunter2")) {
		t.Errorf("audit: %v\n%s", err, b)
	}

	// What an operator does is in it, too, though it came over NATS.
	if _, err := belfry(t, "", append([]string{"revoke", "--user", "mallory", "--tenant", "AA", "--data-dir", dir}, args...)...); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, patience, "the revocation is in the audit log", func() bool {
		b, err := os.ReadFile(audit)
		return err == nil && bytes.Contains(b, []byte(`"who":"service","token_id":"","what":"revoke user mallory","tenant":"AA","outcome":"ok"`))
	})
}

// Nodes need all three files; what is missing is named.
func TestNodesOverTLSNameTheSetting(t *testing.T) {
	t.Parallel()
	ca := certstest.New(t)
	pair := ca.Issue("node")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := []string{
		"nats", "--name", "n1", "--cluster-name", "c", "--cluster-listen", "127.0.0.1:0", "--routes", "127.0.0.1:1", "--nats", "127.0.0.1:0", "--admin", "",
		"--nats-password-file", password, "--set", "cluster.tls_cert=" + pair.Cert,
	}
	for field, more := range map[string][]string{
		"cluster.tls_key": nil,
		"cluster.tls_ca":  {"--set", "cluster.tls_key=" + pair.Key},
	} {
		_, err := belfry(t, "", append(append(node, more...), "--data-dir", t.TempDir())...)
		if fault.CodeOf(err) != fault.InvalidConfig || fault.From(err).Details()["field"] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	spawn(t, `NATS is ready`, append(node, "--set", "cluster.tls_key="+pair.Key, "--set", "cluster.tls_ca="+ca.File, "--data-dir", t.TempDir())...)
}
