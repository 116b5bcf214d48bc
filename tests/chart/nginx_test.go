package chart

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	networkingv1 "k8s.io/api/networking/v1"
)

// conf is where tests/clients find what nginx is told.
var conf = filepath.Join(root, "tests", "clients", "nginx.conf")

const annotation = "nginx.ingress.kubernetes.io/"

// directives are what ingress-nginx makes of the annotations that the chart writes, and
// what holds without one (its defaults, kubernetes/ingress-nginx, configmap.md).
var directives = map[string]struct{ name, standard string }{
	"proxy-read-timeout": {"proxy_read_timeout", "60"},
	"proxy-send-timeout": {"proxy_send_timeout", "60"},
	"proxy-buffering":    {"proxy_buffering", "off"},
	"proxy-body-size":    {"client_max_body_size", "1m"},
}

type location struct {
	Path, Service string
	Directives    []string
}

// Prefix is a pathType of Kubernetes: whole elements of the path.
func (l location) Prefix() []string {
	if l.Path == "/" {
		return []string{"/"}
	}
	return []string{"= " + l.Path, l.Path + "/"}
}

// nginx is the server that the chart's Ingress objects ask for.
type nginx struct {
	Hash      map[string]string // by Service
	Services  []string
	Locations []location
}

// Per Service there is one way of balancing: ingress-nginx takes that of whichever
// Ingress it reads first, and forgets the other's (its issue 3891).
func (n *nginx) read(t *testing.T, i *networkingv1.Ingress) {
	t.Helper()
	var asks []string
	hash := ""
	for key, value := range i.Annotations {
		key, ours := strings.CutPrefix(key, annotation)
		switch _, known := directives[key]; {
		case !ours:
		case key == "upstream-hash-by":
			hash = value
		case !known:
			t.Errorf("%s: nobody says here what %s means", i.Name, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(directives)) {
		value, said := i.Annotations[annotation+key]
		if !said {
			value = directives[key].standard
		}
		asks = append(asks, directives[key].name+" "+value)
	}
	for _, p := range i.Spec.Rules[0].HTTP.Paths {
		service := p.Backend.Service.Name
		if before, known := n.Hash[service]; known && before != hash {
			t.Errorf("%s is to be balanced by %q and by %q", service, before, hash)
		}
		n.Hash[service] = hash
		n.Locations = append(n.Locations, location{p.Path, service, asks})
	}
}

var server = template.Must(template.New("nginx.conf").Parse(`# What ingress-nginx makes of the chart's Ingress objects, for nginx itself.
# Written by go test -C tests/chart -run TestNginx -update
daemon off;
master_process off;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      '';
  }
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_connect_timeout 5;
  proxy_next_upstream error timeout;
  proxy_next_upstream_tries 3;
{{- range .Services }}
  upstream {{ . }} {
    {{- with index $.Hash . }}
    hash {{ . }} consistent;
    {{- end }}
    server {{ . }};
  }
{{- end }}
  server {
    listen ENTRANCE;
{{- range $l := .Locations }}
    {{- range .Prefix }}
    location {{ . }} {
      proxy_pass http://{{ $l.Service }};
      {{- range $l.Directives }}
      {{ . }};
      {{- end }}
    }
    {{- end }}
{{- end }}
  }
}
`))

// TestNginx keeps the file with which tests/clients run a real nginx in front of two
// gateways in step with the chart.
func TestNginx(t *testing.T) {
	n := nginx{Hash: map[string]string{}}
	for _, i := range of[*networkingv1.Ingress](objects(t, merge(values(t, modes["cluster"]), values(t, "{ingress: {enabled: true, host: events.example.com}}")))) {
		n.read(t, i)
	}
	if n.Hash["live-belfry-gateway-hub"] != "$arg_id" || n.Hash["live-belfry-gateway"] != "" {
		t.Errorf("balanced by %v", n.Hash)
	}
	n.Services = slices.Sorted(maps.Keys(n.Hash))
	var want bytes.Buffer
	if err := server.Execute(&want, n); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(conf, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(conf)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("tests/clients/nginx.conf is stale: GOWORK=off go test -C tests/chart -run TestNginx -update: %v", err)
	}
}
