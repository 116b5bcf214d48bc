package api

import (
	"embed"
	"io/fs"
	"net/http"
	"sync"
)

// docs is the page at /docs: plain HTML, CSS and ES modules, no build step, and
// nothing from anywhere else.
//
//go:embed docs
var docs embed.FS

// docsPolicy keeps the page to its own files and its own server.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// MountDocs serves the description of the APIs at /openapi.json and the page that
// shows it at /docs. The description needs no token; what it describes does.
func (m *Mux) MountDocs() {
	// Made when first asked for: by then every service is mounted.
	description := sync.OnceValues(m.OpenAPI)
	m.o.HTTP.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := description()
		if err != nil {
			WriteError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(b)
	})
	files, err := fs.Sub(docs, "docs")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	serve := http.FileServerFS(files)
	page := http.StripPrefix("/docs", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("Cache-Control", "no-cache") // a new version must not run with old modules
		serve.ServeHTTP(w, r)
	}))
	m.o.HTTP.Handle("GET /docs/", page)
	m.o.HTTP.Handle("GET /docs", http.RedirectHandler("/docs/", http.StatusMovedPermanently))
}
