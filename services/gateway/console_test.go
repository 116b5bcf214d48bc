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
			path := "/console/" + m[1]
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
	for _, path := range []string{"/console/app.js", "/console/protocol.js", "/console/style.css", "/console/bell.svg"} {
		if !seen[path] {
			t.Errorf("the page does not use %s", path)
		}
	}
}

// named finds what the page and its modules load.
var named = regexp.MustCompile(`(?:"/console/|from "\./)([a-z.]+)[#"]`)
