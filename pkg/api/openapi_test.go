package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

// The description names every way to every method, refers to nothing that is not
// there, and lists every code.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	resp, text := o.do("GET", "/openapi.json", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	var api struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Parameters []struct{ Name, In string }
			Subject    string `json:"x-nats-subject"`
			Summary    string
		}
		Components struct{ Schemas map[string]json.RawMessage }
		Faults     []struct{ Code string } `json:"x-faults"`
	}
	if err := json.Unmarshal([]byte(text), &api); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for path, item := range api.Paths {
		for verb, op := range item {
			paths = append(paths, verb+" "+path)
			if op.Summary == "" || !strings.HasPrefix(op.Subject, "svc.gateway.") {
				t.Errorf("%s %s: %+v", verb, path, op)
			}
		}
	}
	slices.Sort(paths)
	want := []string{
		"get /desk/{tenant}", "post /Desk/Read",
		"post /belfry.gateway.v1.GatewayService/Publish", "post /belfry.gateway.v1.GatewayService/ReadEvents",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	where := map[string]string{}
	for _, p := range api.Paths["/desk/{tenant}"]["get"].Parameters {
		where[p.Name] = p.In
	}
	if diff := cmp.Diff(map[string]string{"tenant": "path", "after": "query", "topic": "query", "verb": "query", "name": "query", "limit": "query"}, where); diff != "" {
		t.Error(diff)
	}
	for _, m := range regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllStringSubmatch(text, -1) {
		if api.Components.Schemas[m[1]] == nil {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	if len(api.Faults) != len(fault.Codes()) {
		t.Errorf("%d of %d codes", len(api.Faults), len(fault.Codes()))
	}
	if _, again := o.do("GET", "/openapi.json", ""); again != text {
		t.Error("the description differs from one time to the next")
	}
}

// The page is served with everything that it names, and with a policy that lets
// nothing else in.
func TestDocs(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	seen := map[string]bool{"/docs": true}
	for todo := []string{"/docs"}; len(todo) > 0; todo = todo[1:] {
		resp, text := o.do("GET", todo[0], "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: %d %v", todo[0], resp.StatusCode, resp.Header)
		}
		for _, m := range regexp.MustCompile(`(?:"/docs/|from "\./)([a-z.]+)[#"]`).FindAllStringSubmatch(text, -1) {
			if path := "/docs/" + m[1]; !seen[path] {
				seen[path] = true
				todo = append(todo, path)
			}
		}
	}
	if len(seen) != 7 {
		t.Errorf("the page has %v", seen)
	}
}
