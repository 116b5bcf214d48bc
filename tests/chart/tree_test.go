package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// The chart is written down from what the programs say. These tests read the
// programs again.

const root = "../.."

// belfry is the program, built once.
var belfry string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "belfry-chart-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		belfry = filepath.Join(dir, "belfry")
		build := exec.Command("go", "build", "-o", belfry, "./services/belfry")
		build.Dir = root
		build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// What the chart writes into a ConfigMap is what the program reads there.
func TestSettingsAreKnown(t *testing.T) {
	t.Parallel()
	for mode, least := range modes {
		for _, variant := range []string{"as it is", "jwks", "tls to nats", "hooks' keys", "settings"} {
			t.Run(mode+"/"+variant, func(t *testing.T) {
				t.Parallel()
				for _, c := range of[*corev1.ConfigMap](objects(t, merge(values(t, least), values(t, variants[variant])))) {
					file := filepath.Join(t.TempDir(), "belfry.yaml")
					if err := os.WriteFile(file, []byte(c.Data["belfry.yaml"]), 0o600); err != nil {
						t.Fatal(err)
					}
					args := []string{"config", "--config", file}
					if strings.HasSuffix(c.Name, "-nats") { // it has keys of its own, and then nowhere to keep its data
						args = []string{"nats", "--config", file, "--data-dir", "/dev/null/x", "--name", "n", "--set", "nats.password_file=/dev/null/x"}
					}
					out, err := exec.CommandContext(t.Context(), belfry, args...).CombinedOutput()
					wrong := strings.Contains(string(out), "unknown_config_key") || strings.Contains(string(out), "(invalid_config)") && !strings.Contains(string(out), "/dev/null/x")
					if wrong || err != nil && args[0] == "config" {
						t.Errorf("%s: %v\n%s\n%s", c.Name, err, out, c.Data["belfry.yaml"])
					}
				}
			})
		}
	}
}

var (
	routePattern = regexp.MustCompile(`Pattern: "(?:[A-Z]+ )?(/[^"]*)"`)
	protoService = regexp.MustCompile(`(?m)^service (\w+) \{`)
)

// An ingress sends every path to the service that answers it.
func TestIngressRoutesEveryPath(t *testing.T) {
	t.Parallel()
	backend := map[string]string{} // path → service
	for _, i := range of[*networkingv1.Ingress](objects(t, merge(values(t, modes["cluster"]), values(t, variants["ingress"])))) {
		for _, p := range i.Spec.Rules[0].HTTP.Paths {
			backend[p.Path] = strings.TrimPrefix(p.Backend.Service.Name, "live-belfry-")
		}
	}
	of := func(path string) string {
		best := ""
		for prefix := range backend {
			whole := strings.TrimSuffix(prefix, "/")
			if (path == whole || strings.HasPrefix(path, whole+"/")) && len(prefix) > len(best) {
				best = prefix
			}
		}
		return backend[best]
	}
	for _, service := range []string{"gateway", "scheduler", "objectevent", "mailbox"} {
		var paths []string
		for _, text := range sources(t, "services/"+service+"/*.go") {
			for _, m := range routePattern.FindAllStringSubmatch(text, -1) {
				paths = append(paths, m[1])
			}
		}
		for _, text := range sources(t, "proto/belfry/"+service+"/v1/*.proto") {
			for _, m := range protoService.FindAllStringSubmatch(text, -1) {
				paths = append(paths, "/belfry."+service+".v1."+m[1]+"/Method")
			}
		}
		if len(paths) < 2 {
			t.Fatalf("%s: found %v", service, paths)
		}
		for _, p := range paths {
			if got := of(p); got != service {
				t.Errorf("%s is of %s, and the ingress sends it to %s", p, service, got)
			}
		}
	}
	for path, want := range map[string]string{"/signalr/v1/mainHub": "gateway-hub", "/signalr/v1/mainHub/negotiate": "gateway"} {
		if got := of(path); got != want {
			t.Errorf("%s is sent to %s, not to %s", path, got, want)
		}
	}
}

func sources(t *testing.T, pattern string) (texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return texts
}
