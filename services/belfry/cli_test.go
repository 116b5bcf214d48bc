package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"", "run", "nats", "publish", "tail", "notify", "presence", "mailbox", "mailbox subscribe", "mailbox poll", "mailbox replay", "schedule", "schedule add", "schedule preview", "object", "object trash", "hook", "hook add", "hook serve", "alert", "alert add", "alert test", "token", "revoke", "erase", "disconnect", "backup", "restore", "config", "doctor", "check", "bench", "version"} {
		t.Run("belfry "+command, func(t *testing.T) {
			t.Parallel()
			out, err := belfry(t, "", append(strings.Fields(command), "--help")...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "help-"+strings.ReplaceAll(command, " ", "-"), out)
		})
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "belfry.yaml")
	if err := os.WriteFile(file, []byte("gateway:\n  queue_byte: 1MiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := []string{"--http", "127.0.0.1:0", "--admin", "", "--nats", "127.0.0.1:0"}
	for _, c := range []struct {
		line string
		more []string
		code fault.Code
		says string
	}{
		{"rum", nil, fault.UsageError, `unknown command "rum" for "belfry"; did you mean run; see belfry --help`},
		{"run --htp x", nil, fault.UsageError, "unknown flag: --htp; see belfry run --help"},
		{"run now", nil, fault.UsageError, `unknown command "now" for "belfry run"`},
		{"run --only gateway,mailbx", nil, fault.UsageError, `--only: there is no part "mailbx"; the parts are gateway`},
		{"run --config " + file, nil, fault.UnknownConfigKey, "gateway.queue_byte: no such key (from " + file + "); did you mean gateway.queue_bytes?"},
		{"run --set gateway.queue_bytes=1", nil, fault.InvalidConfig, "gateway.queue_bytes"},
		{"run --sync never", nil, fault.InvalidConfig, `nats.sync: "never" is not 2m or always`},
		{"run --nats nowhere", []string{"--data-dir", t.TempDir(), "--admin", ""}, fault.InvalidConfig, `nats.addr: "nowhere" is not host:port`},
		{"run --data-dir " + t.TempDir(), append(free, "--http", taken.Addr().String()), fault.PortInUse, "http.addr: another process listens on " + taken.Addr().String() + " (is belfry running already?"},
		{"run --data-dir " + t.TempDir(), append(free, "--nats", taken.Addr().String()), fault.PortInUse, taken.Addr().String()},
		{"run --data-dir /dev/null/x", free, fault.DataDirUnwritable, "/dev/null/x cannot be written"},
		{"nats --cluster-name c --data-dir " + t.TempDir(), free[2:], fault.InvalidConfig, "server_name"},
		{"token --tenant AA", nil, fault.UsageError, "--user is required"},
		{"token --user anna", nil, fault.UsageError, "--tenant is required without --grant"},
		{"token --user anna --tenant AA --ttl soon", nil, fault.UsageError, `invalid argument "soon" for "--ttl" flag: is not a duration such as 30s`},
		{"help nope", nil, fault.UsageError, `unknown command "nope" for "belfry"`},
		{"run --set gateway.ping_every=0", nil, fault.InvalidConfig, "gateway.ping_every: 0s is outside 1s to 1h"},
		{"run --nats-url http://127.0.0.1:4222", nil, fault.InvalidConfig, `nats.url: "http://127.0.0.1:4222" is not like nats://host:4222`},
		{"token --user anna --grant publish --data-dir " + t.TempDir(), nil, fault.InvalidRequest, "needs a topic"},
		{"token --user anna --tenant _ --data-dir " + t.TempDir(), nil, fault.TokenInvalid, "tenants"},
		{"publish invoices.created {}", nil, fault.UsageError, "--tenant is required"},
		{"publish", nil, fault.UsageError, "arg(s)"},
		{"publish invoices.created {total} --tenant AA", nil, fault.InvalidEvent, "data: is not JSON"},
		{"publish invoices.created @/no/such --tenant AA", nil, fault.UsageError, "no such file"},
		{"publish invoices.created @/ --tenant AA", nil, fault.UsageError, "data: read /: is a directory"},
		{"publish invoices.created {} --tenant AA --wait 0s", nil, fault.UsageError, "--wait: 0s is not above 0"},
		{"publish invoices.created {} --tenant AA --nats-url nats://127.0.0.1:1", nil, fault.Unavailable, "belfry doctor"},
		{"tail --after nonsense", nil, fault.InvalidCursor, "cursor"},
		{"tail --after x --from-start", nil, fault.UsageError, "--after and --from-start exclude each other"},
		{"tail --count -1", nil, fault.UsageError, "--count: -1 is below 0"},
		{"mailbox poll x --count -1", nil, fault.UsageError, "--count: -1 is below 0"},
		{"mailbox poll x --retry 0s", nil, fault.UsageError, "--retry: 0s is below 1s"},
		{"schedule lsit", nil, fault.UsageError, `unknown command "lsit" for "belfry schedule"; did you mean list`},
		{"schedule add x --every 1m", nil, fault.UsageError, "what shall happen?"},
		{"schedule add x --every 1m --publish a.b --notify anna", nil, fault.UsageError, "one of --publish, --notify"},
		{"schedule add x --every 1m --publish ab", nil, fault.UsageError, `"ab" is not <topic>.<verb>`},
		{"schedule add x --every 1m --publish a.b --code MAIL", nil, fault.UsageError, "--code goes with --notify"},
		{"schedule add x --every 1m --notify anna --subject 1", nil, fault.UsageError, "--subject goes with --publish"},
		{"schedule add x y", nil, fault.UsageError, "arg(s)"},
		{"schedule preview x --every 1m", nil, fault.UsageError, "--every and an id"},
		{"schedule preview --every 1m --count 0", nil, fault.UsageError, "--count"},
		{"schedule preview --every 1m --from soon", nil, fault.UsageError, `--from: "soon" is no time`},
		{"schedule preview", []string{"--cron", "30 25 * * *"}, fault.InvalidSchedule, `cron: at position 4: "25" is no hour`},
		{"schedule list --url http://127.0.0.1:1 --token x", nil, fault.Unavailable, "is belfry run running?"},
		{"schedule list --url 127.0.0.1:8080 --token x", nil, fault.UsageError, `--url: "127.0.0.1:8080" is no address such as http://`},
		{"schedule list --data-dir /no/such", nil, fault.InvalidConfig, "data_dir: /no/such has no secret to make a token with: no platform has run there (--data-dir says"},
		{"bench --windows 5001", nil, fault.UsageError, "--windows: 5001 is outside 0 to 5000"},
		{"bench --windows 5000 --rate 11", nil, fault.UsageError, "55000 deliveries a second are above 50000"},
		{"bench --bytes 1", nil, fault.UsageError, "--bytes: 1 is outside 2 to 1048576"},
		{"bench --for 1h", nil, fault.UsageError, "--for: 1h0m0s is outside 100ms to 10m"},
		{"bench --for 10", nil, fault.UsageError, "is not a duration such as 30s"},
		{"bench --tenant AA --tenant BB", nil, fault.UsageError, "--tenant: name one"},
		{"bench --token x", nil, fault.UsageError, "--tenant is required with a token that is given"},
		{"bench --token x --tenant AA --url http://127.0.0.1:1", nil, fault.Unavailable, "is belfry run running?"},
		{"bench --data-dir /no/such", nil, fault.InvalidConfig, "no platform has run there"},
		{"check --timeout 0s", nil, fault.UsageError, "--timeout: 0s is not above 0"},
		{"check --admin 127.0.0.1:1", nil, fault.Unavailable, "nothing of ours answers at 127.0.0.1:1"},
		{"check", []string{"--admin", ""}, fault.InvalidConfig, "admin.addr"},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			_, err := belfry(t, "", append(strings.Fields(c.line), c.more...)...)
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%s), want %s: %s", err, fault.CodeOf(err), c.code, c.says)
			}
		})
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	verify := func(args ...string) *auth.Principal {
		t.Helper()
		out, err := belfry(t, "", append([]string{"token", "--user", "anna", "--data-dir", dir}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		c := process.Default()
		c.DataDir = dir
		tokens, err := c.Tokens()
		if err != nil {
			t.Fatal(err)
		}
		p, err := tokens.Verify(t.Context(), strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := verify("--tenant", "AA", "--tenant", "BB")
	if got := strings.Join(p.Grants.Texts(), " "); got != "subscribe:* publish:* mailbox realtime" || len(p.Tenants) != 2 {
		t.Errorf("without --grant: %v %v", got, p.Tenants)
	}
	p = verify("--tenant", "AA", "--grant", "publish:invoices", "--grant", "admin", "--ttl", "10m")
	if got := strings.Join(p.Grants.Texts(), " "); got != "publish:invoices admin" {
		t.Errorf("with --grant: %v", got)
	}
}

func TestConfigAndVersion(t *testing.T) {
	t.Parallel()
	out, err := belfry(t, "", "config", "--http", ":9000", "--set", "auth.secret=hunter2", "--set", "gateway.console=false")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"http.addr :9000 flag --http", "auth.secret *** flag --set auth.secret",
		"gateway.console false flag --set gateway.console", "events.max_bytes 1MiB default", "events.max_age 14d default",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is shown")
	}
	if out, err = belfry(t, "", "version"); err != nil || !strings.Contains(out, "nats-server") {
		t.Errorf("%s %v", out, err)
	}
}

// Two keys must not share an environment variable: a.b_c and a_b.c would.
func TestEveryKeyHasItsOwnVariable(t *testing.T) {
	t.Parallel()
	s, n := newSettings(), &node{}
	seen := map[string]string{}
	for _, e := range effective(t, append([]any{&s.process, n}, s.services()...)...) {
		if other := seen[e.Env]; other != "" {
			t.Errorf("%s and %s are both %s", e.Key, other, e.Env)
		}
		seen[e.Env] = e.Key
		if e.Usage == "" {
			t.Errorf("%s has no usage", e.Key)
		}
	}
}

// The services on their own carry no server; this program does.
func TestWhoLinksTheServer(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string]bool{
		".": true,
		"github.com/belfry-events/belfry/services/gateway/cmd/gateway": false,
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := strings.Contains(string(out), "nats-io/nats-server"); got != want {
			t.Errorf("%s links nats-server: %v, want %v", pkg, got, want)
		}
	}
}
