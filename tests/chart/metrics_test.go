package chart

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var (
	metricName = regexp.MustCompile(`belfry_[a-z_]+`)
	told       = regexp.MustCompile(`(?m)^# TYPE (belfry_[a-z_]+) `)
	adminURL   = regexp.MustCompile(`^\s*Admin\s+(http\S+)`)
	inSource   = regexp.MustCompile(`"([a-z_]+)"`)
)

// Every query of a dashboard and of an alert asks for metrics that there are: those
// that a running platform tells, and those that it tells once there is something to
// count, by the text of the programs.
func TestQueriesAskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range told.FindAllStringSubmatch(scrape(t), -1) {
		known[m[1]] = true
	}
	if len(known) < 40 {
		t.Fatalf("the platform tells only %d metrics", len(known))
	}
	for prefix, pattern := range map[string]string{
		"belfry_gateway_": "services/gateway/*.go", "belfry_mailbox_": "services/mailbox/*.go", "belfry_scheduler_": "services/scheduler/*.go",
		"": "services/objectevent/*.go", " ": "pkg/api/*.go", "belfry_natsserver_": "pkg/bus/embed/*.go",
	} {
		for _, text := range sources(t, pattern) {
			for _, m := range inSource.FindAllStringSubmatch(text, -1) {
				known[strings.TrimSpace(prefix)+m[1]] = true
			}
		}
	}
	all := objects(t, merge(values(t, modes["cluster"]), values(t, variants["monitoring"])))
	queries := map[string][]string{}
	for _, file := range sources(t, "charts/belfry/dashboards/*.json") {
		var d struct {
			Title  string
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(file), &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				queries[d.Title+": "+p.Title] = append(queries[d.Title+": "+p.Title], q.Expr)
			}
		}
	}
	for _, o := range of[*unstructured.Unstructured](all) {
		if o.GetKind() != "PrometheusRule" {
			continue
		}
		groups, _, err := unstructured.NestedSlice(o.Object, "spec", "groups")
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, r := range g.(map[string]any)["rules"].([]any) {
				rule := r.(map[string]any)
				name := "alert " + rule["alert"].(string)
				queries[name] = append(queries[name], rule["expr"].(string))
			}
		}
	}
	if len(queries) < 40 {
		t.Fatalf("found only %d queries", len(queries))
	}
	for where, exprs := range queries {
		for _, expr := range exprs {
			for _, name := range metricName.FindAllString(expr, -1) {
				base := name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					base = strings.TrimSuffix(base, suffix)
				}
				if !known[name] && !known[base] {
					t.Errorf("%s asks for %s, which nobody tells: %s", where, name, expr)
				}
			}
		}
	}
}

// scrape runs the platform, on ports that it chooses, and reads its metrics.
func scrape(t *testing.T) string {
	t.Helper()
	run := exec.Command(belfry, "run", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--data-dir", filepath.Join(t.TempDir(), "data"), "--log-level", "error")
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill()
		_ = run.Wait()
	})
	late := time.AfterFunc(time.Minute, func() { _ = run.Process.Kill() }) // and then it says no more
	defer late.Stop()
	var said strings.Builder
	var admin []string
	for lines := bufio.NewScanner(out); admin == nil && lines.Scan(); { // said once it is ready
		said.WriteString(lines.Text() + "\n")
		admin = adminURL.FindStringSubmatch(lines.Text())
	}
	if admin == nil {
		t.Fatalf("the platform did not say where its metrics are:\n%s", said.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin[1]+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&http.Client{}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
