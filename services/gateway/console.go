package gateway

import (
	"embed"
	"io/fs"
	"net/http"
)

// console is the page at /: plain HTML, CSS and ES modules, no build step. Colours,
// controls and the bell are those of the page at /docs, which every process has.
//
//go:embed console
var console embed.FS

// contentPolicy keeps the console to its own files and its own server.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountConsole serves the console's files. The page itself needs no token; what
// it does with one, the API decides.
func mountConsole(mux *http.ServeMux) {
	files, err := fs.Sub(console, "console")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	serve := http.FileServerFS(files)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cache-Control", "no-cache") // a new version must not run with old modules
		serve.ServeHTTP(w, r)
	})
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /console/", http.StripPrefix("/console", page))
}
