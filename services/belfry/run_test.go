package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
)

// effective is what Load makes of settings without any source.
func effective(t *testing.T, dst ...any) []config.Entry {
	t.Helper()
	v, err := config.Load(config.Options{Environ: []string{"HOME=/"}}, dst...)
	if err != nil {
		t.Fatal(err)
	}
	return v.Entries
}

// runAll runs everything on free ports and returns what the banner says.
func runAll(t *testing.T, dir string) *platform {
	t.Helper()
	b, m := spawn(t, `(?s)Open +(http://[^/]+)/#token=(\S+)\n +NATS +(nats://\S+)\n +Admin +http://(\S+) .*  \S+ publish invoices[^\n]*\n\n`,
		"run", "--data-dir", dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--log-format", "text")
	return &platform{b, m[1], m[2], m[3], m[4]}
}

// platform is a belfry run and where it can be reached.
type platform struct {
	*background
	web, token, nats, admin string
}

// The whole tool against the whole platform: publish by command, read it back in
// both forms and over HTTP with the printed token, ask whether all is well.
func TestAllInOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	web, nats, admin := p.web, p.nats, p.admin

	out, err := belfry(t, `{"total":12}`, "publish", "invoices.created", "-", "--tenant", "AA", "--subject", "4711", "--id", "e1", "--nats-url", nats)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(out) // id e1 cursor …
	if len(fields) != 4 || fields[1] != "e1" {
		t.Fatalf("publish says %q", out)
	}
	cursor := fields[3]
	file := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(file, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := belfry(t, "", "publish", "notes.created", "@"+file, "--tenant", "BB", "--content-type", "text/plain", "--nats-url", nats); err != nil {
		t.Fatal(err)
	}
	again, err := belfry(t, "", "publish", "invoices.created", `{"total":12}`, "--tenant", "AA", "--id", "e1", "--nats-url", nats)
	if err != nil || !strings.Contains(again, cursor+"  (was there already)") {
		t.Errorf("the same id again: %q %v", again, err)
	}

	out, err = belfry(t, "", "tail", "--from-start", "--count", "2", "--nats-url", nats)
	if err != nil || !strings.HasPrefix(out, cursor+"  ") || !strings.Contains(out, `AA  invoices.created  "4711"  {"total":12}`) || !strings.HasSuffix(out, "  hello\n") {
		t.Errorf("tail: %v\n%s", err, out)
	}
	out, err = belfry(t, "", "tail", "--after", cursor, "--topic", "NOTES", "--json", "--count", "1", "--nats-url", nats)
	var e struct{ Type, Tenant, Data string }
	if err != nil || json.Unmarshal([]byte(out), &e) != nil || e.Type != "notes.created" || e.Tenant != "BB" || e.Data != "hello" {
		t.Errorf("tail --json: %v\n%s", err, out)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the printed token: %s", resp.Status)
	}

	if out, err := belfry(t, "", "check", "--admin", admin); err != nil || !strings.HasPrefix(out, "ready: ") {
		t.Errorf("check: %q %v", out, err)
	}
	out, err = belfry(t, "", "doctor", "--admin", admin, "--http", strings.TrimPrefix(web, "http://"), "--nats", strings.TrimPrefix(nats, "nats://"), "--data-dir", dir)
	if err != nil || strings.Contains(out, stateBad) || strings.Count(out, "is ours") != 3 || !strings.Contains(out, "epoch ") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	if _, err := belfry(t, "", "run", "--data-dir", dir, "--http", "127.0.0.1:0", "--admin", "", "--nats", ""); fault.CodeOf(err) != fault.DataDirInUse {
		t.Errorf("the same data directory again: %v", err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	// What was published is there after a restart, under the same cursor.
	nats = runAll(t, dir).nats
	if out, err := belfry(t, "", "tail", "--from-start", "--count", "1", "--nats-url", nats); err != nil || !strings.HasPrefix(out, cursor) {
		t.Errorf("after a restart: %q %v", out, err)
	}
}

// A service in a process of its own, on a NATS server in another.
func TestNATSAndOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, m := spawn(t, `ready at (nats://\S+)\.`, "nats", "--data-dir", dir, "--nats", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	gateway, _ := spawn(t, "Things to try", "run", "--only", "gateway", "--data-dir", t.TempDir(), "--http", "127.0.0.1:0", "--admin", "",
		"--nats-url", m[1], "--nats-user", embed.ServiceUser, "--nats-password-file", filepath.Join(dir, embed.PasswordFile))
	out, err := belfry(t, "", "publish", "invoices.created", "--tenant", "AA", "--nats-url", m[1])
	if err != nil || !strings.HasPrefix(out, "id ") {
		t.Errorf("publish: %q %v", out, err)
	}
	if err := gateway.stop(); err != nil {
		t.Error(err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
}

// A process that others can reach keeps its tokens out of its output.
func TestNoTokenForStrangers(t *testing.T) {
	t.Parallel()
	b, _ := spawn(t, "Things to try", "run", "--data-dir", t.TempDir(), "--http", "0.0.0.0:0", "--admin", "", "--nats", "")
	if out := b.out.String(); strings.Contains(out, "#token=") || !strings.Contains(out, "make a token with belfry token") {
		t.Error(out)
	}
}

func TestDoctorWithNothingRunning(t *testing.T) {
	t.Parallel()
	args := []string{"doctor", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:1"}
	out, err := belfry(t, "", append(args, "--data-dir", filepath.Join(t.TempDir(), "none"))...)
	if err != nil || !strings.Contains(out, "belfry run makes it") || !strings.Contains(out, "start it: belfry run") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = belfry(t, "", append(args, "--sync", "never")...)
	if fault.CodeOf(err) != fault.InvalidConfig || !strings.Contains(out, "BAD  settings") {
		t.Errorf("%v\n%s", err, out)
	}
}
