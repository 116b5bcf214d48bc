package gateway

import (
	"net/http"
	"regexp"
	"testing"
)

// The page is served at /, and everything it names is there.
func TestConsole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.api.MountDocs() // as every process does: the pages share a sheet and the bell
	status, page := w.call(http.MethodGet, "/", "", "")
	if status != http.StatusOK {
		t.Fatalf("GET / = %d", status)
	}
	seen := map[string]bool{}
	todo := []string{page}
	for len(todo) > 0 {
		text := todo[0]
		todo = todo[1:]
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			path := m[1] + m[2]
			if m[1] == "" { // a module, beside the one that names it
				path = "/console/" + m[2]
			}
			if seen[path] {
				continue
			}
			seen[path] = true
			status, body := w.call(http.MethodGet, path, "", "")
			if status != http.StatusOK {
				t.Errorf("GET %s = %d", path, status)
			}
			todo = append(todo, body)
		}
	}
	for _, path := range []string{"/console/app.js", "/console/protocol.js", "/console/style.css", "/docs/house.css", "/docs/bell.svg"} {
		if !seen[path] {
			t.Errorf("the page does not use %s", path)
		}
	}
}

// named finds what the page and its modules load.
var named = regexp.MustCompile(`(?:"(/console/|/docs/)|from "\./)([a-z.]+)[#"]`)
