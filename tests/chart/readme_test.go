package chart

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	sigs "sigs.k8s.io/yaml"
)

// The page's table of values is written from values.yaml:
//
//	GOWORK=off go test -C tests/chart -run TestPage -update
var update = flag.Bool("update", false, "write the table of charts/belfry/README.md anew")

const (
	tableBegins = "<!-- values: written by go test -C tests/chart -run TestPage -update -->\n"
	tableEnds   = "<!-- end of values -->\n"
)

// page is the operations page.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPageTellsEveryValue(t *testing.T) {
	text := page(t)
	before, rest, ok1 := strings.Cut(text, tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok1 || !ok2 {
		t.Fatal("the page has lost the marks around its table of values")
	}
	want := before + tableBegins + valuesTable(t) + tableEnds + after
	if want == text {
		return
	}
	if !*update {
		t.Fatal("the table of values is stale: GOWORK=off go test -C tests/chart -run TestPage -update")
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	described = regexp.MustCompile(`^\s*# -- (.+)$`)
	keyed     = regexp.MustCompile(`^(\s*)([A-Za-z]+):\s*(.*)$`)
)

// valuesTable reads values.yaml by lines, because comments are what it is after. A
// line "# -- …" describes the key below it, with all that is in it; a key that is
// not described must have others in it that are.
func valuesTable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := values(t, string(text))
	var table strings.Builder
	table.WriteString("| value | default | |\n|---|---|---|\n")
	var path []string
	about, inside := "", -1 // inside: the indent of a described mapping whose content is passed over
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if m := described.FindStringSubmatch(line); m != nil {
			about = m[1]
			continue
		}
		m := keyed.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		indent := len(m[1])
		if inside >= 0 && indent > inside {
			continue
		}
		inside = -1
		path = append(path[:indent/2], m[2])
		name := strings.Join(path, ".")
		switch {
		case about != "":
			_, _ = fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", name, standard(t, all, path), strings.ReplaceAll(about, "|", `\|`))
			if m[3] == "" {
				inside = indent
			}
		case m[3] != "":
			t.Errorf("%s: no line \"# -- …\" says what it is", name)
		}
		about = ""
	}
	return table.String()
}

// standard is the default of a value, on one line.
func standard(t *testing.T, all map[string]any, path []string) string {
	t.Helper()
	var v any = all
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%v is not in values.yaml", path)
		}
		v = m[key]
	}
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The page says of every alert what to do, and names every dashboard.
func TestPageTellsEveryAlertAndDashboard(t *testing.T) {
	t.Parallel()
	text := page(t)
	rules := sources(t, "charts/belfry/templates/prometheusrule.yaml")[0]
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) == 0 {
		t.Fatal("no alerts")
	}
	for _, a := range alerts {
		if !strings.Contains(text, "| `"+a[1]+"` |") {
			t.Errorf("%s has no row", a[1])
		}
	}
	for _, file := range sources(t, "charts/belfry/dashboards/*.json") {
		var d struct{ Title string }
		if err := json.Unmarshal([]byte(file), &d); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, d.Title) {
			t.Errorf("the dashboard %q is not named", d.Title)
		}
	}
}

const natsAlone = "{gateway: {enabled: false}, scheduler: {enabled: false}, objectevent: {enabled: false}, mailbox: {enabled: false}}"

// A restore begins with NATS alone, as the page installs it, whatever leads to services.
func TestNATSAlone(t *testing.T) {
	t.Parallel()
	vals := merge(values(t, modes["cluster"]), values(t, natsAlone))
	for _, variant := range []string{"as it is", "ingress", "route", "autoscaling", "monitoring"} {
		all := objects(t, merge(vals, values(t, variants[variant])))
		if w := workloads(all); len(w) != 1 || w[0].name != "live-belfry-nats" {
			t.Errorf("%s: %+v", variant, w)
		}
		if i := of[*networkingv1.Ingress](all); len(i) > 0 {
			t.Errorf("%s: an ingress leads nowhere: %v", variant, i)
		}
	}
}

var example = regexp.MustCompile("(?ms)^```yaml values=(\\w+)\n(.*?)^```$")

// Values on the page render, in the mode that is named.
func TestPageExamplesRender(t *testing.T) {
	t.Parallel()
	found := example.FindAllStringSubmatch(page(t), -1)
	if len(found) < 3 {
		t.Fatalf("only %d examples", len(found))
	}
	for _, m := range found {
		vals := map[string]any{}
		if err := sigs.UnmarshalStrict([]byte(m[2]), &vals); err != nil {
			t.Fatalf("%v in\n%s", err, m[2])
		}
		if mode, ok := vals["nats"].(map[string]any); m[1] != "cluster" && (!ok || mode["mode"] != m[1]) {
			t.Errorf("not of mode %s:\n%s", m[1], m[2])
		}
		if all := objects(t, vals); len(all) < 5 {
			t.Errorf("renders %d objects:\n%s", len(all), m[2])
		}
	}
}
