package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	sigs "sigs.k8s.io/yaml"
)

// platform is deploy/compose as docker compose reads it: against the schema, an
// unknown key is an error.
func platform(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "deploy", "compose", "compose.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCompose(t *testing.T) {
	t.Parallel()
	p := platform(t)
	for _, name := range []string{"nats-1", "nats-2", "nats-3", "gateway", "mailbox", "scheduler", "objectevent", "prometheus", "grafana"} {
		s, ok := p.Services[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %q names no version", name, s.Image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to everybody", name, port.Published)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for key, value := range s.Environment {
			if value != nil && strings.Contains(strings.ToLower(key), "password") && !strings.HasPrefix(*value, "/run/secrets/") {
				t.Errorf("%s: %s is written down", name, key)
			}
		}
		if s.Build != nil && (s.CapDrop == nil || !s.ReadOnly || s.Scale != nil && *s.Scale != 2) {
			t.Errorf("%s: capabilities %v, read only %v, scale %v", name, s.CapDrop, s.ReadOnly, s.Scale)
		}
	}
	for name, s := range p.Secrets {
		if s.File == "" || s.Environment != "" || s.Content != "" {
			t.Errorf("secret %s is no file: %+v", name, s)
		}
	}
}

// The programs know every setting and flag that compose gives them.
func TestComposeSettingsAreKnown(t *testing.T) {
	t.Parallel()
	for name, s := range platform(t).Services {
		if s.Build == nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), belfry, "config")
		if len(s.Entrypoint) > 0 {
			args := slices.Concat(s.Entrypoint[1:], s.Command)
			for i, a := range args { // where nothing can be written, so that it ends
				if a == "/data" || strings.HasPrefix(a, "/run/secrets") {
					args[i] = "/dev/null/x"
				}
			}
			cmd = exec.CommandContext(t.Context(), belfry, args...)
		}
		cmd.Env = []string{"HOME=/", "PATH=" + os.Getenv("PATH")}
		for key, value := range s.Environment {
			cmd.Env = append(cmd.Env, key+"="+*value)
		}
		out, err := cmd.CombinedOutput()
		text := string(out)
		switch {
		case len(s.Entrypoint) > 0:
			if !strings.Contains(text, "/dev/null/x") { // the only thing it has to complain about
				t.Errorf("%s: %v %s", name, err, text)
			}
		case err != nil:
			t.Errorf("%s: %v %s", name, err, text)
		default:
			for key, value := range s.Environment {
				if !strings.Contains(text, key) || !strings.Contains(text, *value) {
					t.Errorf("%s: %s counts for nothing", name, key)
				}
			}
		}
	}
}

// Prometheus asks every container of ours, and Grafana gets the dashboards from where
// compose puts them.
func TestComposeMonitoring(t *testing.T) {
	t.Parallel()
	p := platform(t)
	prometheus := sources(t, "deploy/prometheus/prometheus.yml")[0]
	for name, s := range p.Services {
		if s.Build != nil && !strings.Contains(prometheus, name) {
			t.Errorf("Prometheus does not ask %s", name)
		}
	}
	var provider struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := sigs.Unmarshal([]byte(sources(t, "deploy/grafana/provisioning/dashboards/*.yaml")[0]), &provider); err != nil {
		t.Fatal(err)
	}
	mounted := slices.ContainsFunc(p.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == provider.Providers[0].Options.Path && strings.HasSuffix(filepath.ToSlash(v.Source), "charts/belfry/dashboards")
	})
	if !mounted {
		t.Error("the dashboards are not where Grafana looks for them")
	}
}

// Secrets are made once, long, and each its own.
func TestComposeSecrets(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join(root, "deploy", "compose", "secrets.sh"))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	file := filepath.Join(home, "secrets.sh")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for range 2 { // the second time changes nothing
		if out, err := exec.CommandContext(t.Context(), "sh", file).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		for name := range platform(t).Secrets {
			b, err := os.ReadFile(filepath.Join(home, "secrets", name))
			if err != nil || len(b) != 72 || made[name] != "" && made[name] != string(b) {
				t.Errorf("%s: %q %v", name, b, err)
			}
			made[name] = string(b)
		}
	}
	if made["nats"] == made["auth"] || made["auth"] == made["grafana"] {
		t.Error("two secrets are one")
	}
	if info, err := os.Stat(filepath.Join(home, "secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}
