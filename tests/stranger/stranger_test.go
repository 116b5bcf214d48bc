package stranger

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// forbidden must not be in a customer's binary: a server, and what only our own
// processes need.
var forbidden = []string{
	"github.com/nats-io/nats-server", "github.com/spf13/", "github.com/prometheus/", "go.opentelemetry.io/otel/sdk", "google.golang.org/grpc",
	root + "pkg/bus", root + "pkg/process", root + "pkg/config", root + "services/",
}

func TestStranger(t *testing.T) {
	t.Parallel()
	proxy := t.TempDir()
	publish(t, proxy, "proto")
	publish(t, proxy, "pkg", "proto")

	home := t.TempDir()
	check(t, os.CopyFS(home, os.DirFS("testdata/stranger")))
	cache := strings.TrimSpace(run(t, home, nil, "go", "env", "GOMODCACHE"))
	env := []string{
		"GOWORK=off", "GOTOOLCHAIN=local", "GOSUMDB=off",
		// Modules of others come from where the build of the tree has put them;
		// ours must come from the proxy, so the cache is a fresh one.
		"GOPROXY=file://" + proxy + ",file://" + filepath.Join(cache, "cache", "download"),
		"GOMODCACHE=" + t.TempDir(), "GOFLAGS=-mod=mod -modcacherw -trimpath",
	}
	run(t, home, env, "go", "mod", "init", "example.com/stranger")
	run(t, home, env, "go", "get", root+"pkg/client@"+version)
	run(t, home, env, "go", "build", "-o", "stranger", ".")

	deps := strings.Fields(run(t, home, env, "go", "list", "-deps", "."))
	info := run(t, home, env, "go", "version", "-m", "stranger")
	if !slices.Contains(deps, root+"pkg/client") || !strings.Contains(info, root+"pkg\t"+version) {
		t.Fatalf("built from something else:\n%s", info)
	}
	for _, f := range forbidden {
		if i := slices.IndexFunc(deps, func(d string) bool { return strings.HasPrefix(d, f) }); i >= 0 {
			t.Errorf("the client brings %s", deps[i])
		}
	}
	if strings.Contains(info, "nats-server") {
		t.Errorf("the binary names nats-server:\n%s", info)
	}

	got := run(t, home, nil, filepath.Join(home, "stranger"), bustest.Start(t).URL())
	if want := `/stranger invoices.created {"n":1}` + "\n"; got != want {
		t.Fatalf("the program printed %q, want %q", got, want)
	}
}

// run answers what the command printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
